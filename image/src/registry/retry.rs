//! Trying again what may pass.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::error::RegistryError;
use super::progress::{Event, Progress};
use super::settings::Settings;

/// How one transfer behaves when something breaks. Shared by all its threads.
pub(crate) struct Retry<'a> {
    settings: &'a Settings,
    pub(super) progress: &'a dyn Progress,
    cancelled: AtomicBool,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(settings: &'a Settings, progress: &'a dyn Progress) -> Self {
        Self { settings, progress, cancelled: AtomicBool::new(false) }
    }

    /// Makes all threads of the transfer stop soon: one has failed for good.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn check(&self) -> Result<(), RegistryError> {
        let is_over = self.cancelled.load(Ordering::Relaxed) || self.settings.ended.load(Ordering::Relaxed);
        if is_over { Err(RegistryError::Cancelled) } else { Ok(()) }
    }

    /// Runs `attempt` until it succeeds, fails for good, or has been tried often enough.
    pub(crate) fn run<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut tried = 0;
        loop {
            self.check()?;
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => self.again(&mut tried, error)?,
            }
        }
    }

    /// Waits before the next attempt, or gives the error back when there is none. `tried` counts the attempts; a
    /// transfer that got further in between sets it back to 0.
    pub(crate) fn again(&self, tried: &mut u32, error: RegistryError) -> Result<(), RegistryError> {
        *tried += 1;
        if !error.is_transient() || *tried >= self.settings.attempts {
            return Err(error);
        }
        self.check()?;
        let pause = self.pause(*tried, error.retry_after());
        self.progress.event(Event::Retrying { reason: &error.to_string(), attempt: *tried + 1, pause });
        self.sleep(pause)
    }

    /// Doubled each time, half of it by chance: clients that failed together shall not come back together.
    fn pause(&self, tried: u32, asked_for: Option<Duration>) -> Duration {
        let timeouts = &self.settings.timeouts;
        let full = timeouts.first_pause * 2u32.saturating_pow(tried.saturating_sub(1).min(16));
        let chance = RandomState::new().hash_one(tried) % 1000;
        let part = full / 2 + full / 2 * u32::try_from(chance).unwrap_or(0) / 1000;
        asked_for.unwrap_or_default().max(part).min(timeouts.longest_pause)
    }

    fn sleep(&self, pause: Duration) -> Result<(), RegistryError> {
        let end = Instant::now() + pause;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::Silent;
    use super::*;

    fn settings() -> Settings {
        let mut settings = Settings { attempts: 4, ..Settings::default() };
        settings.timeouts.first_pause = Duration::from_millis(2);
        settings.timeouts.longest_pause = Duration::from_millis(10);
        settings
    }

    fn status(status: u16) -> RegistryError {
        RegistryError::Status {
            method: "GET",
            url: "u".into(),
            status,
            message: String::new(),
            retry_after: None,
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        let settings = settings();
        for (code, expected) in [(429, 4), (500, 4), (503, 4), (400, 1), (401, 1), (404, 1), (501, 1)] {
            let retry = Retry::new(&settings, &Silent);
            let mut count = 0;
            let result: Result<(), _> = retry.run(|| {
                count += 1;
                Err(status(code))
            });
            assert!(matches!(result, Err(RegistryError::Status { .. })));
            assert_eq!(count, expected, "{code}");
        }
    }

    #[test]
    fn pauses_grow_and_have_an_end() {
        let mut settings = settings();
        settings.timeouts.longest_pause = Duration::from_secs(1);
        let retry = Retry::new(&settings, &Silent);
        assert!(retry.pause(1, None) <= Duration::from_millis(2));
        assert!(retry.pause(4, None) >= Duration::from_millis(8));
        assert_eq!(retry.pause(40, Some(Duration::from_secs(3600))), Duration::from_secs(1));
        assert_eq!(retry.pause(1, Some(Duration::from_millis(700))), Duration::from_millis(700));
    }

    #[test]
    fn who_is_cancelled_stops() {
        let settings = settings();
        let retry = Retry::new(&settings, &Silent);
        retry.cancel();
        assert!(matches!(retry.run(|| Ok(())), Err(RegistryError::Cancelled)));
    }
}
