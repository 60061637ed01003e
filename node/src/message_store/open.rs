//! How the store is opened: as it is, set aside when it cannot be used, or with an installation that was interrupted
//! finished.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, LogLevel, Options};

use super::fault::{self, Fault};
use super::rocks::{CONDEMNED, DATABASE, RocksStore, StoreOptions, family_name, no_room, sync_names};
use super::{StoreError, damage, install};
use crate::qmgr::{Family, RowSource};
use crate::types::QueueManagerId;

const DAMAGED: &str = "store.damaged-";

impl RocksStore {
    /// Opens the store. One that cannot be opened, or was condemned, is moved aside with a sentence and begins
    /// empty; an installation that was interrupted is finished, or its queue manager begins empty.
    pub fn open(options: StoreOptions) -> Result<(RocksStore, Vec<String>), StoreError> {
        let mut sentences = Vec::new();
        let io = |reason: String| StoreError::Io { directory: options.directory.clone(), reason };
        fs::create_dir_all(&options.directory).map_err(|error| io(format!("create it: {error}")))?;
        if let Ok(reason) = fs::read(options.directory.join(CONDEMNED)) {
            let reason = String::from_utf8_lossy(&reason);
            move_aside(&options, &reason, &mut sentences).map_err(&io)?;
            acquit(&options).map_err(|error| io(error.to_string()))?;
        }
        let path = options.directory.join(DATABASE);
        let opened =
            missing_parts(&path).map_or_else(|| open_database(&options, &path), Err).and_then(|db| {
                let missing = missing_bodies(&db, &path);
                missing.map_or(Ok(db), Err)
            });
        let db = match opened {
            Ok(db) => db,
            Err(reason) => match fault::of(&reason) {
                Fault::NoRoom => return Err(no_room(&options, &reason)),
                // What lies there may be whole: it is not ours, or not now.
                Fault::Device => return Err(io(reason)),
                Fault::Damage => {
                    move_aside(&options, &reason, &mut sentences).map_err(&io)?;
                    open_database(&options, &path).map_err(&io)?
                }
            },
        };
        let with = |db| RocksStore::over(db, options.clone());
        let store = with(db);
        match install::finish_interrupted(&store, &mut sentences) {
            Ok(()) => Ok((store, sentences)),
            Err(StoreError::Damaged { reason, .. }) => {
                drop(store);
                move_aside(&options, &reason, &mut sentences).map_err(&io)?;
                acquit(&options).map_err(|error| io(error.to_string()))?;
                Ok((with(open_database(&options, &path).map_err(&io)?), sentences))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the store, or an empty one in its place when the rows of `queue_managers` cannot all be read.
    pub fn open_verified(
        options: StoreOptions,
        queue_managers: &[QueueManagerId],
    ) -> Result<(RocksStore, Vec<String>), StoreError> {
        let (store, mut sentences) = RocksStore::open(options.clone())?;
        let readable = queue_managers.iter().try_for_each(|id| {
            let rows = store.rows(*id);
            rows.meta()?;
            rows.scan(Family::State, &mut |_, _| {})?;
            rows.scan(Family::Heads, &mut |_, _| {})
        });
        match readable {
            Ok(()) => Ok((store, sentences)),
            Err(error) => {
                let reason = error.to_string();
                if !store.condemn(&reason) {
                    return Err(StoreError::Io { directory: store.directory().to_path_buf(), reason });
                }
                drop(store);
                let (store, mut more) = RocksStore::open(options)?;
                sentences.append(&mut more);
                Ok((store, sentences))
            }
        }
    }
}

/// The store that was condemned is not there any more. Durable before there is a new one, or that would be condemned for
/// it.
fn acquit(options: &StoreOptions) -> std::io::Result<()> {
    match fs::remove_file(options.directory.join(CONDEMNED)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => sync_names(&options.directory),
    }
}

/// The most that flushes and compactions write in a second. RocksDB tunes what it really lets through, from a twentieth of
/// this on, so that they are at it for half to nine tenths of the time: a flush at the device's full speed makes
/// every sync of the log wait, on all nodes that share the load.
const BACKGROUND_BYTES_PER_SECOND_MAX: i64 = 4 << 30;
/// How finely: what is written at once is what may be in one of these, 2 MB at least, and the tuning looks each hundred of
/// them. With finer ones a busy processor wakes a flush too late, each time: it was slower than the puts, and what it did not
/// write stayed in memory (1,200 MB a node in place of 370, and a fifth more processor time for it).
const BACKGROUND_REFILL_US: i64 = 10_000;

/// RocksDB begins anew, without a word, where its CURRENT file is missing.
fn missing_parts(path: &Path) -> Option<String> {
    let has_files = fs::read_dir(path).ok()?.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.ends_with(".sst") || name.ends_with(".blob") || name.starts_with("MANIFEST")
    });
    (has_files && !path.join("CURRENT").exists()).then(|| "its file CURRENT is missing".to_string())
}

/// RocksDB looks for its tables when it opens, and for a file of bodies when it is asked for one of them.
fn missing_bodies(db: &DB, path: &Path) -> Option<String> {
    let reason = |(number, bytes): &(u64, u64)| {
        let file = path.join(format!("{number:06}.blob"));
        match fs::metadata(&file) {
            Ok(there) if there.len() >= *bytes => None,
            Ok(there) => Some(format!(
                "file {}, offset {}: it ends here and should have {bytes} bytes",
                file.display(),
                there.len()
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(format!(
                "file {}, offset 0: it is missing and should have {bytes} bytes",
                file.display()
            )),
            // It may be there.
            Err(_) => None,
        }
    };
    let mut missing: BTreeMap<(u64, u64), String> =
        listed_bodies(db).into_iter().filter_map(|file| Some((file, reason(&file)?))).collect();
    if !missing.is_empty() {
        // A compaction may have been about to remove it.
        let listed = listed_bodies(db);
        missing.retain(|file, _| listed.contains(file));
    }
    let reasons: Vec<String> = missing.into_values().collect();
    (!reasons.is_empty()).then(|| damage::named(&reasons))
}

/// The files of bodies that RocksDB lists: number and bytes. It names them in a text for people only.
fn listed_bodies(db: &DB) -> Vec<(u64, u64)> {
    let family = db.cf_handle(family_name(Family::Bodies)).expect("opened with the database");
    let text = db.property_value_cf(family, "rocksdb.sstables").ok().flatten().unwrap_or_default();
    let number = |line: &str, name: &str| -> Option<u64> {
        line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
    };
    let file = |line: &str| {
        let bytes = number(line, "total_blob_bytes: ")?;
        Some((number(line, "blob_file_number: ")?, bytes + damage::AROUND_BODIES))
    };
    text.lines().filter_map(file).collect()
}

/// Makes room for an empty store. The damaged one is kept for whoever wants to look at it, the newest only, and only if
/// the rows that come again have room beside it.
fn move_aside(options: &StoreOptions, reason: &str, sentences: &mut Vec<String>) -> Result<(), String> {
    let directory = &options.directory;
    let path = directory.join(DATABASE);
    if !path.exists() {
        return Ok(());
    }
    let reason = damage::located(&path, reason);
    let older = damaged_before(directory).unwrap_or_default();
    let number = older.keys().next_back().map_or(1, |newest| newest + 1);
    let aside = directory.join(format!("{DAMAGED}{number}"));
    fs::rename(&path, &aside)
        .map_err(|error| format!("it cannot be used ({reason}) and cannot be moved aside: {error}"))?;
    sync_names(directory).map_err(|error| format!("sync {}: {error}", directory.display()))?;
    for path in older.into_values() {
        let _ = fs::remove_dir_all(path);
    }
    let bytes = bytes_in(&aside).unwrap_or_default();
    let free = (options.free_bytes)(directory).unwrap_or(u64::MAX);
    let kept = if free < bytes.saturating_add(options.reserve_bytes) {
        let _ = fs::remove_dir_all(&aside);
        "removed, because a new one has no room beside it,".to_string()
    } else {
        format!("moved to {}", aside.display())
    };
    sentences.push(format!(
        "the message store in {} cannot be used ({reason}); it was {kept} and is rebuilt from the log and the peers",
        path.display(),
    ));
    Ok(())
}

fn damaged_before(directory: &Path) -> std::io::Result<BTreeMap<u32, PathBuf>> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(number) = name.strip_prefix(DAMAGED).and_then(|number| number.parse().ok()) {
            found.insert(number, path);
        }
    }
    Ok(found)
}

fn bytes_in(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(directory)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

fn open_database(options: &StoreOptions, path: &Path) -> Result<DB, String> {
    let cache = Cache::new_lru_cache(options.block_cache_bytes);
    let mut database = Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_atomic_flush(true);
    database.set_max_background_jobs(2);
    database.set_max_open_files(512);
    database.set_bytes_per_sync(1 << 20);
    database.set_keep_log_file_num(2);
    database.set_max_log_file_size(1 << 20);
    database.set_log_level(LogLevel::Warn);
    database.set_stats_dump_period_sec(0);
    database.set_stats_persist_period_sec(0);
    database.set_skip_stats_update_on_db_open(true);
    if options.compacts_by_itself {
        // Compactions get what flushes leave, but one time in ten.
        database.set_auto_tuned_ratelimiter(BACKGROUND_BYTES_PER_SECOND_MAX, BACKGROUND_REFILL_US, 10);
    }
    // Flushed rows are read again much later or never: a copy of them in the page cache is the dearest part of a
    // flush (22 % of all server CPU of puts that stay).
    database.set_use_direct_io_for_flush_and_compaction(takes_direct_io(path));

    let family = |family: Family| {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_format_version(5);
        table.set_bloom_filter(10.0, false);
        let mut family_options = Options::default();
        family_options.set_level_compaction_dynamic_level_bytes(true);
        family_options.set_disable_auto_compactions(!options.compacts_by_itself);
        family_options.set_max_write_buffer_number(3);
        // A flushed table removes at the front of queues and adds behind their ends: it spans all that is between, which a
        // compaction writes again. So it comes for every twelfth table and not for every fourth; the filters keep reads
        // out of the tables that do not have their key.
        family_options.set_level_zero_file_num_compaction_trigger(12);
        family_options.set_level_zero_slowdown_writes_trigger(40);
        family_options.set_level_zero_stop_writes_trigger(60);
        match family {
            Family::State | Family::Heads => {
                table.set_block_size(16 << 10);
                family_options.set_write_buffer_size((options.write_buffer_bytes / 4).max(64 << 10));
                family_options.set_compression_type(DBCompressionType::Lz4);
            }
            Family::Bodies => {
                table.set_block_size(32 << 10);
                family_options.set_write_buffer_size(options.write_buffer_bytes.max(64 << 10));
                family_options.set_compression_type(DBCompressionType::None);
                family_options.set_enable_blob_files(true);
                family_options.set_min_blob_size(options.blob_from_bytes);
                family_options.set_blob_file_size(options.blob_file_bytes);
                family_options.set_enable_blob_gc(true);
                // Queues remove the oldest first: old files are garbage, mostly, when they are looked at.
                family_options.set_blob_gc_age_cutoff(0.25);
                family_options.set_blob_gc_force_threshold(0.5);
            }
        }
        // Tables full of removals are compacted without being asked.
        family_options.add_compact_on_deletion_collector_factory(10_000, 5_000, 0.5);
        family_options.set_block_based_table_factory(&table);
        ColumnFamilyDescriptor::new(family_name(family), family_options)
    };
    let mut families: Vec<_> = Family::ALL.into_iter().map(family).collect();
    families.push(ColumnFamilyDescriptor::new("default", Options::default()));
    DB::open_cf_descriptors(&database, path, families).map_err(rocksdb::Error::into_string)
}

/// Whether the file system takes O_DIRECT; tmpfs, for one, does not.
fn takes_direct_io(directory: &Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    let probe = directory.with_extension("probe");
    let opened = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT)
        .open(&probe);
    let _ = fs::remove_file(&probe);
    opened.is_ok()
}
