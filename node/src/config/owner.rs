//! Whose a directory is: what [`OWNER_FILE`] in each directory of a node says.
//!
//! ```text
//! cluster shop
//! node 1 a
//! queue manager 1 ha.queue.manager      a line for each that the node ever had
//! ```
//!
//! Log and store know all of them by their numbers; here a number keeps its name. `runtime::directories` writes the
//! file, `check` only reads it.

use std::fs;
use std::io;
use std::path::Path;

use super::Config;

/// In each directory of a node: whose it is.
pub const OWNER_FILE: &str = "trimaran.node";

impl Config {
    /// What the file is to say from now on, when it does not say that already; or the sentence about why this node may
    /// not use the directory.
    pub fn owner_to_write(&self, directory: &Path) -> Result<Option<String>, String> {
        let path = directory.join(OWNER_FILE);
        let found = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let text = format!(
                    "read {}: {error}; the directory must belong to the user who runs the node",
                    path.display()
                );
                return Err(text);
            }
        };
        let owner = self.owner(directory, found.as_deref())?;
        Ok((found.as_ref() != Some(&owner)).then_some(owner))
    }

    /// What was found, and a line for each queue manager that it does not name yet.
    fn owner(&self, directory: &Path, found: Option<&str>) -> Result<String, String> {
        let node = format!("cluster {}\nnode {} {}\n", self.cluster, self.node, self.name);
        let found = found.unwrap_or(&node);
        // A directory of another node would make this one promise what it never knew.
        if !found.starts_with(&node) {
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
                None => owner += &format!("{number}{name}\n"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentence or the text of the file of node a, whose cluster file has these queue managers.
    fn owner(queue_managers: &[(u32, &str)], found: Option<&str>) -> Result<String, String> {
        let mut text = "cluster = \"shop\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:1\"\n\
                        client = \"127.0.0.1:2\"\nhttp = \"127.0.0.1:3\"\n[directories]\nlog = \"l\"\ndata = \"d\"\n"
            .to_owned();
        for (id, name) in queue_managers {
            text += &format!("[[queue_managers]]\nname = \"{name}\"\nid = {id}\n");
        }
        Config::parse(&text, Some("a")).unwrap().owner(Path::new("/data"), found)
    }

    const ONE: &str = "cluster shop\nnode 1 a\nqueue manager 1 ORDERS\n";

    #[test]
    fn a_queue_manager_gets_its_line_once_and_keeps_it() {
        assert_eq!(owner(&[(1, "ORDERS")], None).as_deref(), Ok(ONE));
        assert_eq!(owner(&[(1, "ORDERS")], Some("cluster shop\nnode 1 a\n")).as_deref(), Ok(ONE));
        assert_eq!(owner(&[(1, "ORDERS")], Some(ONE)).as_deref(), Ok(ONE));
        let two = format!("{ONE}queue manager 11 STOCK\n");
        assert_eq!(owner(&[(1, "ORDERS"), (11, "STOCK")], Some(ONE)), Ok(two.clone()));
        assert_eq!(owner(&[(11, "STOCK")], Some(&two)), Ok(two));
    }

    #[test]
    fn a_queue_manager_that_was_renamed_is_refused_with_both_names() {
        let refused = owner(&[(1, "SALES")], Some(ONE)).unwrap_err();
        assert!(refused.contains("queue manager 1 is named ORDERS in /data, and SALES"), "{refused}");
        assert!(
            refused.contains("cannot be renamed; put the old name back, or choose another id"),
            "{refused}"
        );
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let other = ONE.replace("node 1 a", "node 2 b");
        let refused = owner(&[(1, "ORDERS")], Some(&other)).unwrap_err();
        assert!(
            refused.contains("/data belongs to cluster shop, node 2 b and not to cluster shop, node 1 a"),
            "{refused}"
        );
    }
}
