//! Ends of the process that are nobody's wish: each has a number, a name and a sentence.

use std::fmt;

/// Why the node ended; the number is the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FatalReason {
    /// The cluster file or the certificates are not usable.
    Configuration = 10,
    /// An address cannot be listened on.
    Listen = 11,
    /// A directory cannot be used, or belongs to another node.
    Directory = 12,
    /// The log cannot be opened.
    LogOpen = 13,
    /// A write or sync of the log failed: what is on disk is not known any more.
    LogWrite = 14,
    /// The message store cannot be opened or written.
    Store = 15,
    /// The operating system refused a thread or a signal handler.
    System = 16,
    /// Told to stop twice: stopped at once.
    StoppedAtOnce = 17,
    /// Log, store or queue manager are of a version that this program does not speak.
    Version = 18,
    /// An assertion does not hold.
    Bug = 70,
}

impl FatalReason {
    pub const ALL: [FatalReason; 10] = [
        FatalReason::Configuration,
        FatalReason::Listen,
        FatalReason::Directory,
        FatalReason::LogOpen,
        FatalReason::LogWrite,
        FatalReason::Store,
        FatalReason::System,
        FatalReason::StoppedAtOnce,
        FatalReason::Version,
        FatalReason::Bug,
    ];

    pub fn status(self) -> u8 {
        self as u8
    }

    pub fn name(self) -> &'static str {
        match self {
            FatalReason::Configuration => "configuration",
            FatalReason::Listen => "listen",
            FatalReason::Directory => "directory",
            FatalReason::LogOpen => "log-open",
            FatalReason::LogWrite => "log-write",
            FatalReason::Store => "store",
            FatalReason::System => "system",
            FatalReason::StoppedAtOnce => "stopped-at-once",
            FatalReason::Version => "version",
            FatalReason::Bug => "bug",
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            FatalReason::Configuration => {
                "the cluster file or a certificate is wrong; trimaran-node check says what"
            }
            FatalReason::Listen => "an address cannot be listened on",
            FatalReason::Directory => "the log or data directory cannot be used",
            FatalReason::LogOpen => "the log cannot be opened",
            FatalReason::LogWrite => "the log cannot be written; the node checks it at the next start",
            FatalReason::Store => "the message store cannot be used",
            FatalReason::System => "the operating system refused something the node needs",
            FatalReason::StoppedAtOnce => "told to stop a second time",
            FatalReason::Version => {
                "another release wrote what this one does not understand; nothing is damaged, start that release"
            }
            FatalReason::Bug => "an assertion does not hold; the other nodes carry on",
        }
    }
}

/// Something that ends the node, on its way up to `main`.
#[derive(Debug)]
pub struct Fatal {
    pub reason: FatalReason,
    pub text: String,
}

impl Fatal {
    pub fn new(reason: FatalReason, text: impl fmt::Display) -> Fatal {
        Fatal { reason, text: trimaran_proto::plain::error(text) }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (exit status {}, {})", self.text, self.reason.status(), self.reason.name())
    }
}

impl std::error::Error for Fatal {}

/// Ends the process from wherever this is, without running what a normal exit runs: no thread may do any more work,
/// and nothing in memory is worth saving.
pub fn fatal(reason: FatalReason, text: impl fmt::Display) -> ! {
    let fatal = Fatal::new(reason, text);
    tracing::error!(exit_status = reason.status(), exit_name = reason.name(), "{}", fatal.text);
    eprintln!("trimaran-node: {fatal}");
    // SAFETY: ends the process; nothing is returned to.
    unsafe { libc::_exit(i32::from(reason.status())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_own_number_and_name() {
        for (index, one) in FatalReason::ALL.iter().enumerate() {
            for other in &FatalReason::ALL[index + 1..] {
                assert!(one.status() != other.status() && one.name() != other.name());
            }
        }
    }
}
