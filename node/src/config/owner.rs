//! Whose a directory is: what [`OWNER_FILE`] in each directory of a node says.
//!
//! ```text
//! cluster shop
//! node 1 a
//! format 1                              how the files lie in it
//! queue manager 1 ha.queue.manager      a line for each that the node ever had
//! checksum 1c3a90f2                     CRC-32C of the lines before, in hexadecimal
//! ```
//!
//! A program leaves a directory of a newer format alone. One that lays files out in another way writes the higher number
//! first, and may do so only when every queue manager was raised to a version that says so: then nobody goes back.
//! Log and store know all of them by their numbers; here a number keeps its name. The same lies beside it once more, in
//! [`OWNER_COPY`]. A file that a person wrote, or an older release, has no checksum and is believed if every line of it
//! can be read. `runtime::directories` writes the files, `check` only reads them. What the cluster's records contradict is taken out
//! again: a queue manager that was deleted, or an id that a cluster file had wrong.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::Config;

/// In each directory of a node: whose it is.
pub const OWNER_FILE: &str = "trimaran.node";
/// The same again, should the first be damaged or missing.
pub const OWNER_COPY: &str = "trimaran.node.copy";

/// Files of a node: a directory that has one of them had an owner. The first lie in its log directory, the others in its data
/// directory.
const CONTENT: [&[&str]; 2] = [&["engine", "mark"], &["store", "incoming"]];

/// How the log and the message store lay out their files; see the head of this file.
const FORMAT: u32 = 1;

const CHECKSUM: &str = "checksum ";

/// What is to become of the files in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// What both files are to say.
    pub text: String,
    /// Whether the first and the second say something else, or are not there.
    pub write: [bool; 2],
    /// What was damaged or missing, for the operator.
    pub repaired: Option<String>,
    had: Had,
}

/// What was in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Had {
    /// Nothing of a node.
    Nothing,
    /// Whose it is, and no more.
    Owner,
    /// A log or a message store.
    Content,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Missing,
    /// Its lines without the checksum.
    Sound(String),
    Damaged,
}

impl Owner {
    /// There was nothing of a node in the directory.
    pub fn is_new(&self) -> bool {
        self.had == Had::Nothing
    }

    /// The queue managers that it names, by id and name.
    pub fn queue_managers(&self) -> impl Iterator<Item = (u32, &str)> {
        self.text.lines().filter_map(queue_manager_of)
    }

    /// The same without the queue managers of which `is_wrong` says so, by id and name; None where all may stay.
    pub fn without(&self, is_wrong: &dyn Fn(u32, &str) -> bool) -> Option<Owner> {
        let Found::Sound(lines) = verify(self.text.as_bytes()) else { return None };
        let is_kept = |line: &&str| !queue_manager_of(line).is_some_and(|(id, name)| is_wrong(id, name));
        let kept: String = lines.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
        let text = signed(&kept);
        (kept != lines).then(|| Owner { text, write: [true; 2], ..self.clone() })
    }
}

/// What a line says, if it is about a queue manager.
fn queue_manager_of(line: &str) -> Option<(u32, &str)> {
    let (id, name) = line.strip_prefix("queue manager ")?.split_once(' ')?;
    Some((id.parse().ok()?, name))
}

impl Config {
    /// Whose the log and the data directory are from now on; or the sentences about why this node may not use them. One of the two
    /// without the other is not taken for a loss: a file system that is not mounted looks like that, and the log would be cut
    /// where the message store is missing.
    pub fn owners(&self) -> Result<[Owner; 2], Vec<String>> {
        let (log, data) = (&self.log_directory, &self.data_directory);
        self.check_not_exchanged()?;
        let owners = match (self.owner_of(log), self.owner_of(data)) {
            (Ok(of_log), Ok(of_data)) => [of_log, of_data],
            (of_log, of_data) => return Err([of_log, of_data].into_iter().filter_map(Result::err).collect()),
        };
        let apart = |empty: &Path, full: &Path, key: &str| {
            Err(vec![format!(
                "{} has nothing of this node in it, and {} has: the two go together. Is its file system mounted, and is `{key}` in \
                 the cluster file right? If what was there is lost, empty {} as well: the node gets everything from the others then",
                empty.display(),
                full.display(),
                full.display()
            )])
        };
        match [owners[0].had, owners[1].had] {
            [Had::Nothing, Had::Content] => apart(log, data, "log"),
            [Had::Content, Had::Nothing] => apart(data, log, "data"),
            _ => Ok(owners),
        }
    }

    /// Each directory would pass for an empty one, and the node would begin anew in them.
    fn check_not_exchanged(&self) -> Result<(), Vec<String>> {
        let (log, data) = (&self.log_directory, &self.data_directory);
        if log == data {
            return Ok(());
        }
        let [of_log, of_data] = CONTENT;
        let foreign = |directory: &Path, key: &str, names: &[&str], other: &str| {
            let name = names.iter().find(|name| directory.join(name).exists())?;
            Some(format!(
                "{} is `{key}` in the cluster file and has {name} in it, which belongs into `{other}`: the two were exchanged, in \
                 the file or where their file systems are mounted; put them back",
                directory.display()
            ))
        };
        let found = [foreign(log, "log", of_data, "data"), foreign(data, "data", of_log, "log")];
        let found: Vec<String> = found.into_iter().flatten().collect();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    fn owner_of(&self, directory: &Path) -> Result<Owner, String> {
        let files = [OWNER_FILE, OWNER_COPY].map(|name| directory.join(name));
        let mut read = Vec::new();
        for path in &files {
            read.push(match fs::read(path) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    return Err(format!(
                        "read {}: {error}; the directory must belong to the user who runs the node",
                        path.display()
                    ));
                }
            });
        }
        let content = CONTENT.iter().copied().flatten().find(|name| directory.join(name).exists());
        self.owner(directory, [read[0].as_deref(), read[1].as_deref()], content.copied())
    }

    fn owner(
        &self,
        directory: &Path,
        files: [Option<&[u8]>; 2],
        content: Option<&str>,
    ) -> Result<Owner, String> {
        let found = files.map(|bytes| bytes.map_or(Found::Missing, verify));
        let had = match content {
            Some(_) => Had::Content,
            None if found == [Found::Missing, Found::Missing] => Had::Nothing,
            None => Had::Owner,
        };
        let node = format!("cluster {}\nnode {} {}\n", self.cluster, self.node, self.name);
        let (path, copy) = (directory.join(OWNER_FILE), directory.join(OWNER_COPY));
        let (lines, repaired) = match (&found[0], &found[1]) {
            // The copy is written after it: where the two differ, a process ended in between.
            (Found::Sound(lines), _) => (lines.as_str(), None),
            (first, Found::Sound(lines)) => {
                let what = if *first == Found::Missing { "missing" } else { "damaged" };
                let text =
                    format!("{} was {what}; it is written again from {}", path.display(), copy.display());
                (lines.as_str(), Some(text))
            }
            (Found::Missing, Found::Missing) => match content {
                None => (node.as_str(), None),
                Some(content) => {
                    return Err(format!(
                        "{} has files of a node ({content}), and {} does not say of which any more: {}",
                        directory.display(),
                        path.display(),
                        self.how_to_accept(directory, &node)
                    ));
                }
            },
            (Found::Damaged, _) | (_, Found::Damaged) => {
                return Err(format!(
                    "{} is damaged, and {} is no help: {}",
                    path.display(),
                    copy.display(),
                    self.how_to_accept(directory, &node)
                ));
            }
        };
        let lines = with_format(directory, lines, &node)?;
        let text = signed(&self.with_queue_managers(directory, &lines, &node)?);
        let write = files.map(|bytes| bytes != Some(text.as_bytes()));
        Ok(Owner { text, write, repaired, had })
    }

    fn how_to_accept(&self, directory: &Path, node: &str) -> String {
        let (path, copy) = (directory.join(OWNER_FILE), directory.join(OWNER_COPY));
        format!(
            "if you are certain that it is the directory of node {} of cluster {}, say so with: rm -f {} && printf '{}' \
             > {}; if not, give the node the directory that is its own, or an empty one",
            self.name,
            self.cluster,
            copy.display(),
            node.replace('\n', "\\n"),
            path.display()
        )
    }

    /// What was found, and a line for each queue manager that it does not name yet.
    fn with_queue_managers(&self, directory: &Path, found: &str, node: &str) -> Result<String, String> {
        // A directory of another node would make this one promise what it never knew.
        if !found.starts_with(node) {
            return Err(format!(
                "{} belongs to {} and not to {}: give every node directories of its own, or correct the cluster file",
                directory.display(),
                found.lines().take(2).collect::<Vec<_>>().join(", "),
                node.trim_end().replace('\n', ", ")
            ));
        }
        let mut owner = found.to_owned();
        for (id, name) in &self.queue_managers {
            let number = format!("queue manager {id} ");
            match found.lines().find_map(|line| line.strip_prefix(number.as_str())) {
                None => match number_of(name.as_str(), found) {
                    None => owner += &format!("{number}{name}\n"),
                    // It would come up empty, and what it had would lie there under a number that nobody asks for.
                    Some(known) => {
                        return Err(format!(
                            "queue manager {name} has the id {known} in {}, and {id} in the cluster file: its messages \
                             are kept under the id; put the old one back, or choose another name for a new and empty \
                             queue manager",
                            directory.display()
                        ));
                    }
                },
                Some(known) if known == name.as_str() => {}
                Some(known) => {
                    return Err(format!(
                        "queue manager {id} is named {known} in {}, and {name} in the cluster file: a queue manager \
                         cannot be renamed; put the old name back, or choose another id for the new one",
                        directory.display()
                    ));
                }
            }
        }
        Ok(owner)
    }
}

/// Under which number a queue manager of this name is known.
fn number_of<'a>(name: &str, found: &'a str) -> Option<&'a str> {
    let lines = found.lines().filter_map(|line| line.strip_prefix("queue manager ")?.split_once(' '));
    lines.filter(|(_, known)| *known == name).map(|(number, _)| number).next()
}

/// What was found, with a line for the format behind those that say whose it is.
fn with_format(directory: &Path, found: &str, node: &str) -> Result<String, String> {
    match found.lines().find_map(|line| line.strip_prefix("format ")) {
        Some(format) if format.parse().is_ok_and(|format: u32| format <= FORMAT) => Ok(found.to_owned()),
        Some(format) => Err(format!(
            "the files in {} have format {format}, and this program knows format {FORMAT}: start the newer release that \
             wrote them; nothing was changed",
            directory.display()
        )),
        None => match found.strip_prefix(node) {
            Some(queue_managers) => Ok(format!("{node}format {FORMAT}\n{queue_managers}")),
            None => Ok(found.to_owned()),
        },
    }
}

fn signed(lines: &str) -> String {
    let mut text = lines.to_owned();
    let _ = writeln!(text, "{CHECKSUM}{:08x}", crc32c::crc32c(lines.as_bytes()));
    text
}

fn verify(bytes: &[u8]) -> Found {
    let Ok(text) = std::str::from_utf8(bytes) else { return Found::Damaged };
    let last = text.trim_end_matches('\n').rfind('\n').map_or(0, |end| end + 1);
    let (lines, end) = text.split_at(last);
    if end.starts_with(CHECKSUM) {
        return if signed(lines) == text { Found::Sound(lines.to_owned()) } else { Found::Damaged };
    }
    let is_name = |name: &str| !name.is_empty() && !name.contains(' ');
    let is_numbered = |line: &str, what: &str| {
        let rest = line.strip_prefix(what).and_then(|rest| rest.split_once(' '));
        rest.is_some_and(|(number, name)| number.parse::<u64>().is_ok() && is_name(name))
    };
    let is_readable = text.ends_with('\n')
        && text.lines().enumerate().all(|(number, line)| match number {
            0 => line.strip_prefix("cluster ").is_some_and(is_name),
            1 => is_numbered(line, "node "),
            2 if line.strip_prefix("format ").is_some_and(|format| format.parse::<u32>().is_ok()) => true,
            _ => is_numbered(line, "queue manager "),
        })
        && text.lines().count() >= 2;
    if is_readable { Found::Sound(text.to_owned()) } else { Found::Damaged }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(queue_managers: &[(u32, &str)]) -> Config {
        let mut text = "cluster = \"shop\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:1\"\n\
                        client = \"127.0.0.1:2\"\nhttp = \"127.0.0.1:3\"\n[directories]\nlog = \"l\"\ndata = \"d\"\n"
            .to_owned();
        for (id, name) in queue_managers {
            text += &format!("[[queue_managers]]\nname = \"{name}\"\nid = {id}\n");
        }
        Config::parse(&text, Some("a")).unwrap()
    }

    /// What node a makes of these two files in a directory that has a log.
    fn judge(
        queue_managers: &[(u32, &str)],
        file: Option<&[u8]>,
        copy: Option<&[u8]>,
    ) -> Result<Owner, String> {
        config(queue_managers).owner(Path::new("/data"), [file, copy], Some("engine"))
    }

    /// The sentence, or the lines without the checksum.
    fn owner(queue_managers: &[(u32, &str)], found: &str) -> Result<String, String> {
        let owner = judge(queue_managers, Some(found.as_bytes()), None)?;
        let Found::Sound(lines) = verify(owner.text.as_bytes()) else { panic!("{}", owner.text) };
        Ok(lines)
    }

    #[test]
    fn what_is_known_better_is_named_no_more() {
        let one = judge(ORDERS, Some(ONE.as_bytes()), None).unwrap();
        assert_eq!(one.without(&|id, name| (id, name) == (2, "ORDERS")), None);
        let without = one.without(&|id, name| (id, name) == (1, "ORDERS")).unwrap();
        assert_eq!(without.write, [true, true]);
        let other = judge(&[(9, "ORDERS")], Some(without.text.as_bytes()), None).unwrap();
        assert!(other.text.contains("\nqueue manager 9 ORDERS\n"), "{}", other.text);
    }

    const OLD: &str = "cluster shop\nnode 1 a\nqueue manager 1 ORDERS\n";
    const ONE: &str = "cluster shop\nnode 1 a\nformat 1\nqueue manager 1 ORDERS\n";
    const ORDERS: &[(u32, &str)] = &[(1, "ORDERS")];

    #[test]
    fn a_queue_manager_gets_its_line_once_and_keeps_it() {
        let new = config(ORDERS).owner(Path::new("/data"), [None, None], None).unwrap();
        assert_eq!((new.text, new.write, new.repaired), (signed(ONE), [true, true], None));
        assert_eq!(owner(ORDERS, "cluster shop\nnode 1 a\n").as_deref(), Ok(ONE));
        assert_eq!(owner(ORDERS, ONE).as_deref(), Ok(ONE));
        assert_eq!(owner(ORDERS, OLD).as_deref(), Ok(ONE), "from before there were formats");
        assert_eq!(owner(ORDERS, &signed(ONE)).as_deref(), Ok(ONE));
        let two = format!("{ONE}queue manager 11 STOCK\n");
        assert_eq!(owner(&[(1, "ORDERS"), (11, "STOCK")], ONE), Ok(two.clone()));
        assert_eq!(owner(&[(11, "STOCK")], &two), Ok(two));
    }

    #[test]
    fn a_queue_manager_that_was_renamed_is_refused_with_both_names() {
        let refused = owner(&[(1, "SALES")], ONE).unwrap_err();
        assert!(refused.contains("queue manager 1 is named ORDERS in /data, and SALES"), "{refused}");
        assert!(
            refused.contains("cannot be renamed; put the old name back, or choose another id"),
            "{refused}"
        );
    }

    #[test]
    fn a_queue_manager_that_got_another_id_is_refused_and_not_begun_anew() {
        let refused = owner(&[(2, "ORDERS")], ONE).unwrap_err();
        assert!(refused.contains("queue manager ORDERS has the id 1 in /data, and 2 in the"), "{refused}");
        assert!(refused.contains("put the old one back, or choose another name"), "{refused}");
        let swapped = owner(&[(1, "ORDERS"), (2, "ORDERS.NEW")], ONE);
        assert_eq!(swapped, Ok(format!("{ONE}queue manager 2 ORDERS.NEW\n")), "a part of a name is no name");
    }

    #[test]
    fn files_of_a_newer_format_are_left_alone() {
        let refused = owner(ORDERS, &signed(&ONE.replace("format 1", "format 2"))).unwrap_err();
        assert!(
            refused.contains("/data have format 2, and this program knows format 1: start the newer release"),
            "{refused}"
        );
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let other = signed(&ONE.replace("node 1 a", "node 2 b"));
        let refused = owner(ORDERS, &other).unwrap_err();
        assert!(
            refused.contains("/data belongs to cluster shop, node 2 b and not to cluster shop, node 1 a"),
            "{refused}"
        );
    }

    #[test]
    fn one_flipped_bit_is_repaired_from_the_copy_or_named_as_damage() {
        let good = signed(ONE).into_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let repaired =
                judge(ORDERS, Some(&bad), Some(&good)).unwrap_or_else(|e| panic!("bit {bit}: {e}"));
            assert_eq!((repaired.text.as_bytes(), repaired.write), (&good[..], [true, false]), "bit {bit}");
            assert!(repaired.repaired.is_some_and(|text| text.contains("was damaged")), "bit {bit}");
            let copied = judge(ORDERS, Some(&good), Some(&bad)).unwrap();
            assert_eq!((copied.text.as_bytes(), copied.write), (&good[..], [false, true]), "bit {bit}");
            for copy in [None, Some(&bad[..])] {
                let refused = judge(ORDERS, Some(&bad), copy).unwrap_err();
                assert!(refused.contains("/data/trimaran.node is damaged"), "bit {bit}: {refused}");
            }
        }
    }

    #[test]
    fn a_missing_file_comes_back_from_its_copy_and_without_one_the_way_out_is_said() {
        let good = signed(ONE);
        let repaired = judge(ORDERS, None, Some(good.as_bytes())).unwrap();
        assert_eq!((&repaired.text, repaired.write), (&good, [true, false]));
        let refused = judge(ORDERS, None, None).unwrap_err();
        assert!(refused.contains("/data has files of a node (engine)"), "{refused}");
        let way_out = "printf 'cluster shop\\nnode 1 a\\n' > /data/trimaran.node";
        assert!(refused.contains(way_out), "{refused}");
        assert_eq!(owner(ORDERS, "cluster shop\nnode 1 a\n").as_deref(), Ok(ONE), "which is believed");
    }

    #[test]
    fn a_file_that_ends_too_early_is_damaged_wherever_it_does() {
        let good = signed(ONE);
        let is_line_end = |at: usize| good.as_bytes()[at - 1] == b'\n';
        for at in 1..good.len() {
            let whole = verify(&good.as_bytes()[..at]);
            // Where the checksum is cut off with its line, what is left is what an older release wrote.
            let old = is_line_end(at) && good[..at].lines().count() >= 2;
            assert_eq!(whole != Found::Damaged, old, "{:?}", &good[..at]);
        }
    }
}
