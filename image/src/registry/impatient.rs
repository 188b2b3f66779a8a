//! Looking names up and making connections, without waiting for either when everything is to end.
//!
//! Neither the system's resolver nor `connect` can be told to stop, and both may take as long as they like. So they
//! run in a thread of their own, which nobody waits for when the end comes: it does nothing but hold a socket, and goes
//! with the process. What is connected is ended by the agent itself.
//!
//! These are the parts of ureq that it does not promise to keep; `Cargo.toml` says which version they are of.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};

/// Between two looks whether the end has come.
const PAUSE: Duration = Duration::from_millis(20);

/// An agent whose waiting ends as soon as `ended` is raised, whatever it waits for.
pub(super) fn agent(config: Config, ended: &Arc<AtomicBool>) -> ureq::Agent {
    ureq::Agent::with_parts(
        config,
        Impatient { inner: Arc::new(DefaultConnector::default()), ended: Arc::clone(ended) },
        Impatient { inner: Arc::new(DefaultResolver::default()), ended: Arc::clone(ended) },
    )
}

/// What may take long, and when to stop waiting for it.
struct Impatient<T> {
    inner: Arc<T>,
    ended: Arc<AtomicBool>,
}

impl<T> fmt::Debug for Impatient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Impatient")
    }
}

impl<T> Impatient<T> {
    /// What `work` comes to, unless the end comes first.
    fn wait_for<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let (sender, receiver) = channel();
        thread::Builder::new().name("connect".to_owned()).spawn(move || {
            // Who has stopped waiting does not want to know.
            let _ = sender.send(work());
        })?;
        while !self.ended.load(Ordering::Relaxed) {
            match receiver.recv_timeout(PAUSE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Err(Error::Io(io::Error::other("not waited for any more")))
    }
}

impl<T: Resolver> Resolver for Impatient<T> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let (inner, uri, config) = (Arc::clone(&self.inner), uri.clone(), config.clone());
        self.wait_for(move || inner.resolve(&uri, &config, timeout))
    }
}

impl<T: Connector> Connector for Impatient<T> {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let (inner, uri, config) = (Arc::clone(&self.inner), details.uri.clone(), details.config.clone());
        let ConnectionDetails { request_level, now, timeout, .. } = *details;
        let (addrs, current_time) = (details.addrs.clone(), Arc::clone(&details.current_time));
        let run_connector = Arc::clone(&details.run_connector);
        let register_shutdown = Arc::clone(&details.register_shutdown);
        self.wait_for(move || {
            // Only for names of proxies; those of hosts are in `addrs`.
            let resolver = DefaultResolver::default();
            let details = ConnectionDetails {
                uri: &uri,
                addrs,
                config: &config,
                request_level,
                resolver: &resolver,
                now,
                timeout,
                current_time,
                run_connector,
                register_shutdown,
            };
            let made = inner.connect(&details, None)?;
            Ok(made.map(|transport| Box::new(transport) as Box<dyn Transport>))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender};
    use std::sync::{Barrier, Mutex};

    use super::*;

    /// Looks up and connects to nothing, for as long as a channel is open.
    struct Stuck(Mutex<Receiver<()>>, Arc<Barrier>);

    impl fmt::Debug for Stuck {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Stuck")
        }
    }

    impl Stuck {
        fn new() -> (Impatient<Self>, Sender<()>, Arc<Barrier>) {
            let (hold, receiver) = channel();
            let begun = Arc::new(Barrier::new(2));
            let inner = Arc::new(Self(Mutex::new(receiver), Arc::clone(&begun)));
            (Impatient { inner, ended: Arc::default() }, hold, begun)
        }

        fn wait(&self) -> Error {
            self.1.wait();
            let _ = self.0.lock().unwrap().recv();
            Error::HostNotFound
        }
    }

    impl Resolver for Stuck {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            Err(self.wait())
        }
    }

    impl Connector for Stuck {
        type Out = Box<dyn Transport>;

        fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
            Err(self.wait())
        }
    }

    /// Asks, raises the flag once somebody is stuck, and gives what the asking comes to.
    fn ended(agent: &ureq::Agent, flag: &AtomicBool, begun: &Barrier) -> String {
        thread::scope(|scope| {
            let asking = scope.spawn(|| agent.get("http://127.0.0.1:9/").call().unwrap_err().to_string());
            begun.wait();
            flag.store(true, Ordering::Relaxed);
            asking.join().unwrap()
        })
    }

    #[test]
    fn nobody_waits_for_a_lookup_or_a_connection_when_all_is_over() {
        let (resolver, hold, begun) = Stuck::new();
        let flag = Arc::clone(&resolver.ended);
        let agent = ureq::Agent::with_parts(Config::default(), DefaultConnector::default(), resolver);
        assert!(ended(&agent, &flag, &begun).contains("not waited for"));
        drop(hold);
        let (connector, hold, begun) = Stuck::new();
        let flag = Arc::clone(&connector.ended);
        let agent = ureq::Agent::with_parts(Config::default(), connector, DefaultResolver::default());
        assert!(ended(&agent, &flag, &begun).contains("not waited for"));
        drop(hold);
    }
}
