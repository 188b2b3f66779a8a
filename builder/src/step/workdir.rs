//! WORKDIR: a directory, if it is not there.

use std::os::fd::AsFd;

use rbuild_image::layer::OwnTimes;
use rbuild_image::time::Timestamp;
use rbuild_parser::plan::{Step, Workdir};

use super::{StepFailure, find_or_make, key};
use crate::chain::Chain;
use crate::copy::make_workdir;
use crate::key::{StepKeyKind, StepRecord, WorkdirKey};
use crate::session::Session;

pub(crate) fn perform(
    session: &Session<'_>,
    step: &Step,
    parent: &Chain,
    workdir: &Workdir,
) -> Result<StepRecord, StepFailure> {
    let kind = StepKeyKind::Workdir(WorkdirKey {
        path: workdir.path.clone(),
        user: workdir.user.clone(),
        epoch: workdir.epoch,
    });
    find_or_make(session, step, parent, key(Some(parent), kind), |making, _| {
        let started = Timestamp::now_of_files();
        let dest = making.below(session)?;
        make_workdir(workdir, &dest, making.upper().as_fd(), session.store.flavour().owners())
            .map_err(|cause| StepFailure::new(cause.to_string()))?;
        Ok(OwnTimes::IgnoreSince(started))
    })
}
