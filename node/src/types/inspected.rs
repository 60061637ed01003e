//! What an inspection of a node's directory finds, one thing at a time: for `trimaran-node inspect-log` and `inspect-store`.

use std::fmt;
use std::path::PathBuf;

/// One thing in a directory, for people (`Display`) and for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Where it is.
    pub file: PathBuf,
    /// From the beginning of the file, in bytes; None for the file as a whole.
    pub offset: Option<u64>,
    /// How long it is; None where that says nothing.
    pub bytes: Option<u64>,
    /// What is there, or what is wrong with it; no sentence.
    pub text: String,
    /// It cannot be read, or is not what was written.
    pub damaged: bool,
    /// It is there whichever queue manager is asked for: a file, or its end.
    pub is_shared: bool,
}

/// Given what is found, in the order of the files.
pub type Inspector<'a> = &'a mut dyn FnMut(Inspected) -> std::io::Result<()>;

impl fmt::Display for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inspected { file, offset, bytes, text, damaged, is_shared: _ } = self;
        debug_assert!(offset.is_none() || !file.as_os_str().is_empty(), "an offset is one of a file");
        let damaged = if *damaged { "DAMAGED: " } else { "" };
        match (offset, bytes) {
            (Some(offset), Some(bytes)) => write!(f, "  {offset:>10} {bytes:>8} bytes  {damaged}{text}"),
            (Some(offset), None) => write!(f, "  {offset:>10} {damaged}{text}"),
            (None, Some(bytes)) => write!(f, "{} ({bytes} bytes): {damaged}{text}", file.display()),
            (None, None) if file.as_os_str().is_empty() => write!(f, "{damaged}{text}"),
            (None, None) => write!(f, "{}: {damaged}{text}", file.display()),
        }
    }
}
