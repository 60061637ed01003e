//! Log and message store of the node: opened, recovered, given their threads, and stopped.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use super::again::begin_again;
use super::directories;
use super::fatal::{Fatal, FatalReason, fatal};
use super::notices::Standing;
use super::recover::{self, Expected, FromStore, RecoverError, Started};
use super::reserve::Reserve;
use super::snapshots::Snapshots;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::log_store::{LogHandle, LogOptions, LogThread, LogThreadOptions, RaftEngineLog, filesystem};
use crate::message_store::{
    Loaded, RocksStore, StoreAnswers, StoreError, StoreHandle, StoreOptions, StoreReaderOptions,
    StoreReaders, StoreThread, StoreThreadOptions,
};
use crate::peer::SnapshotStore;
use crate::qmgr::{LoadError, QueueManager, RowSource};
use crate::replica::{Event, Inboxes};
use crate::types::{ObjectName, QueueManagerId};

/// Opened and recovered, without threads.
pub struct Opened {
    log: RaftEngineLog,
    store: RocksStore,
}

/// Log and store, what every queue manager begins with, and sentences for the error log.
type Recovered = (RaftEngineLog, RocksStore, Vec<Started>, Vec<String>);

/// With threads.
pub struct Stores {
    log: LogThread,
    store_thread: StoreThread,
    readers: Arc<StoreReaders>,
    store: RocksStore,
    inboxes: Inboxes,
    report: Report,
}

/// Takes a sentence for the operator.
type Report = Arc<dyn Fn(String) + Send + Sync>;

/// The ways to log and store, for as many as want them.
#[derive(Clone)]
pub struct Handles {
    pub log: LogHandle,
    pub store: StoreHandle,
    pub readers: Arc<StoreReaders>,
    pub rows: RocksStore,
    report: Report,
}

/// Opens both stores and recovers every queue manager of the configuration. Takes as long as it takes to read the
/// log behind the message store and the heads of all messages.
pub fn open(
    config: &Config,
    standing: &Standing,
    reserve: &Arc<Reserve>,
) -> Result<(Opened, Vec<Started>), Fatal> {
    let begun = std::time::Instant::now();
    let mut gave = reserve.make_room_to_start();
    let (log, store, started, sentences) = loop {
        match open_both(config, reserve) {
            Ok(opened) => break opened,
            Err(fatal) if !is_want_of_room(&fatal.text) => return Err(fatal),
            Err(_) if reserve.make_more_room() => gave = true,
            Err(fatal) => {
                return Err(Fatal::new(
                    fatal.reason,
                    format_args!("{} ({})", reserve.what_to_do(), fatal.text),
                ));
            }
        }
    };
    if gave {
        standing.report(
            "this start found a full disk and gave up a reserve: get messages or free some space before the next one"
                .into(),
        );
    }
    for sentence in sentences {
        tracing::warn!("{sentence}");
        standing.report(sentence);
    }
    for one in &started {
        tracing::info!(
            queue_manager = one.queue_manager.name().as_str(),
            store = one.recovered.snapshot.index.0,
            log = one.recovered.entries.last().map(|entry| entry.index.0),
            recovering = one.recovered.recovering,
            "recovered"
        );
    }
    if let Some(text) = nothing_of(config, &started) {
        tracing::warn!("{text}");
    }
    tracing::info!(took_ms = begun.elapsed().as_millis() as u64, "stores are open");
    reserve.restore();
    standing.reserves(reserve.lacking());
    Ok((Opened { log, store }, started))
}

/// Whose messages are nowhere in the directories: right at a first start, and wrong where the file names other directories than
/// it did.
fn nothing_of(config: &Config, started: &[Started]) -> Option<String> {
    let is_new = |one: &&Started| {
        let found = &one.recovered;
        one.queue_manager.id() != QueueManagerId::CLUSTER
            && found.recovering
            && found.entries.is_empty()
            && found.hard_state.term <= found.snapshot.term
            && found.snapshot == config.first_snapshot(one.queue_manager.id())
    };
    let new: Vec<&str> = started.iter().filter(is_new).map(|one| one.queue_manager.name().as_str()).collect();
    let (log, data) = (config.log_directory.display(), config.data_directory.display());
    (!new.is_empty()).then(|| {
        format!(
            "{log} and {data} have nothing of queue manager {}: this node begins without any of its messages. That is right at \
             its first start here; if it ran before, stop it, and correct [directories] in the cluster file (what does not begin \
             with / is beside that file)",
            new.join(", ")
        )
    })
}

/// Says what the stores and the system say of a full device.
fn is_want_of_room(error: &str) -> bool {
    ["No space left", "Disk quota exceeded", "device full", "no room"].iter().any(|text| error.contains(text))
}

fn open_both(config: &Config, reserve: &Arc<Reserve>) -> Result<Recovered, Fatal> {
    let retained = (config.limits.log_retain_bytes * config.queue_managers.len().max(1)) as u64;
    let device = filesystem(&config.log_directory).map_or(u64::MAX, |device| device.total_bytes);
    let log_options = LogOptions::new(&config.log_directory).retaining(retained).on_device_of(device);
    let options = StoreOptions {
        block_cache_bytes: config.limits.store_cache_bytes,
        ..StoreOptions::new(&config.data_directory, {
            let reserve = reserve.clone();
            Arc::new(move |directory| reserve.left_for_store(directory))
        })
    };
    let expect = |id, name| Expected { id, name, initial: config.first_snapshot(id), speaks: config.speaks };
    let own = ObjectName::new(QueueManagerId::CLUSTER_NAME).expect("it is one");
    // The nodes' own first: it knows which of the others were deleted.
    let own = expect(QueueManagerId::CLUSTER, own);
    let of_file = config.queue_managers.iter().map(|(id, name)| expect(*id, name.clone()));
    let expected: Vec<Expected> = std::iter::once(own).chain(of_file).collect();
    // Both take a while, and neither needs the other yet.
    let (log, loaded) = thread::scope(|scope| {
        let log = scope.spawn(|| RaftEngineLog::open(log_options));
        let loaded = recover::load(options, &expected);
        (log.join().unwrap_or_else(|panic| resume_unwind(panic)), loaded)
    });
    let mut log = log.map_err(|error| {
        // A store that was moved aside is not mentioned by the next start.
        loaded.iter().flat_map(FromStore::sentences).for_each(|sentence| tracing::warn!("{sentence}"));
        Fatal::new(FatalReason::LogOpen, error)
    })?;
    if let Ok(loaded) = &loaded {
        directories::forget(config, &loaded.records());
    }
    let recovered = loaded.and_then(|loaded| recover::with_log(&mut log, loaded, &expected));
    let (store, started, sentences) = recovered.map_err(|error| match &error {
        RecoverError::Register(_) => Fatal::new(FatalReason::Configuration, error),
        RecoverError::Log(_) => Fatal::new(FatalReason::LogOpen, error),
        RecoverError::Load(LoadError::Version(_)) => Fatal::new(FatalReason::Version, error),
        RecoverError::Store(_) | RecoverError::Load(_) => Fatal::new(FatalReason::Store, error),
    })?;
    Ok((log, store, started, sentences))
}

impl Opened {
    /// Starts the threads, which answer to the inboxes.
    pub fn start(self, inboxes: Inboxes, standing: &Standing) -> Result<Stores, Fatal> {
        let system = |what: &str, error| Fatal::new(FatalReason::System, format!("start {what}: {error}"));
        let report: Report = {
            let standing = standing.clone();
            Arc::new(move |sentence: String| {
                tracing::warn!("{sentence}");
                standing.report(sentence);
            })
        };
        let owners = inboxes.clone();

        let (told, damaged) = (inboxes.clone(), inboxes.clone());
        let log = LogThread::start(
            self.log,
            Box::new(move || owners.all().keys().copied().collect()),
            LogThreadOptions::default(),
            Box::new(move |queue_manager, write| {
                if let Some(inbox) = told.get(queue_manager) {
                    inbox.log_persisted(write);
                }
            }),
            Arc::new(|error| fatal(FatalReason::LogWrite, error)),
            report.clone(),
            Box::new(move |queue_manager, upto| {
                if let Some(inbox) = damaged.get(queue_manager) {
                    let _ = inbox.deliver_blocking(Event::LogDamaged { upto });
                }
            }),
        )
        .map_err(|error| system("the log thread", error))?;

        let (told, refused) = (inboxes.clone(), inboxes.clone());
        let answers = StoreAnswers {
            flushed: Box::new(move |queue_manager, upto| {
                if let Some(inbox) = told.get(queue_manager) {
                    inbox.store_flushed(upto);
                }
            }),
            refused: Box::new(move |queue_manager, upto| {
                if let Some(inbox) = refused.get(queue_manager) {
                    let _ = inbox.deliver_blocking(Event::StoreRefused { upto });
                }
            }),
            fatal: Box::new(|error| match error {
                // It condemned itself.
                StoreError::Damaged { .. } => begin_again(error),
                StoreError::NoRoom { .. } | StoreError::Io { .. } => fatal(FatalReason::Store, error),
            }),
            report: report.clone(),
        };
        let store_thread = StoreThread::start(self.store.clone(), StoreThreadOptions::default(), answers)
            .map_err(|error| system("the store thread", error))?;

        let (told, condemned) = (inboxes.clone(), self.store.clone());
        let answer = move |loaded: Loaded| {
            let Loaded { queue_manager, request, rows, damaged } = loaded;
            if let Some(reason) = &damaged {
                give_up(&condemned, reason);
            }
            if let Some(inbox) = told.get(queue_manager) {
                let _ = inbox.deliver_blocking(Event::RowsLoaded { request, rows, damaged });
            }
        };
        let scrubbed = self.store.clone();
        let damaged = move |reason: String| give_up(&scrubbed, &reason);
        let options = StoreReaderOptions::default();
        let readers = StoreReaders::start(self.store.clone(), options, Arc::new(answer), Arc::new(damaged))
            .map_err(|error| system("the store's reading threads", error))?;
        Ok(Stores { log, store_thread, readers: Arc::new(readers), store: self.store, inboxes, report })
    }
}

/// The store could not be read. What is damaged once is not trusted again: a start rebuilds it from log and peers.
fn give_up(store: &RocksStore, reason: &str) -> ! {
    match store.condemn(reason) {
        true => begin_again(reason),
        false => fatal(FatalReason::Store, reason),
    }
}

impl Stores {
    pub fn log(&self) -> LogHandle {
        self.log.handle()
    }

    pub fn handles(&self) -> Handles {
        Handles {
            log: self.log.handle(),
            store: self.store_thread.handle(),
            readers: self.readers.clone(),
            rows: self.store.clone(),
            report: self.report.clone(),
        }
    }

    pub fn rows(&self) -> RocksStore {
        self.store.clone()
    }

    pub fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        let store = self.store.clone();
        let unreadable = move |reason: &str| give_up(&store, reason);
        let inboxes = self.inboxes.clone();
        let names = Arc::new(move |id| inboxes.get(id).map(|inbox| inbox.name().clone()));
        Arc::new(Snapshots::new(self.store.clone(), names, Box::new(unreadable)))
    }

    /// Syncs the log and flushes the store, then ends their threads. Blocks.
    pub fn stop(self) {
        self.log.stop();
        self.store_thread.stop();
        drop(self.readers);
    }
}

impl Handles {
    /// What log and store have of a queue manager that begins while others run. `is_younger`: than this disk, so that it never had
    /// part in the group where there is nothing of it. None when the node stops.
    pub async fn begin(&self, expected: Expected, is_younger: bool) -> Option<Started> {
        let rows = self.rows.clone();
        let Expected { id, name, initial, speaks } = expected;
        let loading = tokio::task::spawn_blocking(move || {
            let rows = rows.rows(id);
            let snapshot = rows.meta()?.unwrap_or(initial);
            Ok::<_, LoadError>((snapshot, QueueManager::load(id, name, &rows, speaks)?))
        });
        let (snapshot, queue_manager) = match loading.await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(LoadError::Read(error))) => give_up(&self.rows, &error.to_string()),
            Ok(Err(error @ LoadError::Version(_))) => fatal(FatalReason::Version, error),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => return None,
        };
        let (answer, found) = oneshot::channel();
        self.log.begin(snapshot.clone(), is_younger, Box::new(move |found| drop(answer.send(found))));
        let found = found.await.ok()?;
        found.sentences.iter().for_each(|sentence| (self.report)(sentence.clone()));
        Some(Started { recovered: recover::recovered(snapshot, found), queue_manager })
    }

    /// Nothing of a queue manager that is deleted is left in log and store. Its mind has ended.
    pub async fn forget(&self, queue_manager: QueueManagerId) {
        let (answer, forgotten) = oneshot::channel();
        self.log.forget(queue_manager, Box::new(move || answer.send(()).unwrap_or_default()));
        let _ = forgotten.await;
        let (answer, forgotten) = oneshot::channel();
        let (store, answer) = (self.store.clone(), Box::new(move || answer.send(()).unwrap_or_default()));
        // It waits where the store is far behind.
        let asked = tokio::task::spawn_blocking(move || store.forget(queue_manager, answer));
        if asked.await.is_ok() {
            let _ = forgotten.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Term;

    #[test]
    fn a_start_says_which_directories_have_nothing_of_a_queue_manager() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().display();
        let text = format!(
            "cluster = \"demo\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:1\"\nclient = \"127.0.0.1:2\"\n\
             http = \"127.0.0.1:3\"\n[[queue_managers]]\nname = \"QM\"\nid = 1\n[directories]\nlog = \"{place}/log\"\n\
             data = \"{place}/data\"\n"
        );
        let config = Config::parse(&text, Some("a")).unwrap();
        let started = |config: &Config| {
            let reserve = Arc::new(Reserve::find(config));
            let (log, _store, mut started, _) = open_both(config, &reserve).unwrap();
            drop(log);
            let new = nothing_of(config, &started);
            started[1].recovered.hard_state.term = Term(2);
            assert_eq!(nothing_of(config, &started), None, "it has voted: it ran before");
            new
        };
        let said = started(&config).unwrap();
        assert!(
            said.starts_with(&format!("{place}/log and {place}/data have nothing of queue manager QM: ")),
            "{said}"
        );
    }
}
