//! The files that messages are read from and written to: one, or one for each message.

use std::{
    fs::File,
    io::{self, BufReader, Seek, Write},
    path::{Path, PathBuf},
};

use trimaran_client::Message;
use trimaran_proto::plain;

use super::format::Reader;
use crate::output::{self, Failure};

/// Stands in numbers where there are several files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// Of the message as it was read, and as it is written.
    pub read: u64,
    pub written: u64,
    pub file: u64,
}

/// The name of a file with its inserts: %n, %i and %o are the numbers of the file, of the message read and of the message written;
/// %N, %I and %O have five digits, and %% is %.
///
/// # Errors
/// The letter that is no insert.
pub fn name_of(pattern: &Path, numbers: Numbers) -> Result<PathBuf, String> {
    let text = pattern.to_string_lossy();
    if !text.contains('%') {
        return Ok(pattern.to_path_buf());
    }
    let mut name = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            name.push(letter);
            continue;
        }
        let insert = letters.next();
        let number = match insert.map(|insert| insert.to_ascii_lowercase()) {
            Some('%') => {
                name.push('%');
                continue;
            }
            Some('n') => numbers.file,
            Some('i') => numbers.read,
            Some('o') => numbers.written,
            _ => {
                let said = insert.map(String::from).unwrap_or_default();
                return Err(format!("%{said} in {text} is none of %n, %i, %o, %N, %I, %O and %%"));
            }
        };
        match insert.is_some_and(|insert| insert.is_ascii_uppercase()) {
            true => name.push_str(&format!("{number:05}")),
            false => name.push_str(&number.to_string()),
        }
    }
    Ok(name.into())
}

/// Whether each message has a file.
fn is_for_each(pattern: &Path) -> bool {
    let one = Numbers { read: 1, written: 1, file: 1 };
    let two = Numbers { read: 2, written: 2, file: 2 };
    name_of(pattern, one) != name_of(pattern, two)
}

// ---- in ----

pub struct Input {
    pattern: PathBuf,
    path: PathBuf,
    reader: Reader<BufReader<File>>,
    pub files: u64,
}

impl Input {
    /// # Errors
    /// What cannot be opened, or is no file of dmpmqmsg.
    pub fn open(pattern: &Path) -> Result<Input, Failure> {
        let (path, reader) = Input::reader(pattern, 1)?;
        Ok(Input { pattern: pattern.to_path_buf(), path, reader, files: 1 })
    }

    fn reader(pattern: &Path, number: u64) -> Result<(PathBuf, Reader<BufReader<File>>), Failure> {
        let numbers = Numbers { read: number, written: number, file: number };
        let path = name_of(pattern, numbers).map_err(Failure::Usage)?;
        let file = File::open(&path).map_err(|error| Failure::local(path.display(), error))?;
        let reader = Reader::new(BufReader::new(file));
        let reader = reader.map_err(|why| Failure::Local(format!("{}: {why}", path.display())))?;
        Ok((path, reader))
    }

    /// The next message, and where it stands; None behind the last one of the last file.
    ///
    /// # Errors
    /// What cannot be read, with its place.
    pub fn next(&mut self) -> Result<Option<(String, Message)>, Failure> {
        loop {
            let next = self.reader.next();
            let next = next.map_err(|why| Failure::Local(format!("{}: {why}", self.path.display())))?;
            if let Some((line, message)) = next {
                return Ok(Some((format!("line {line} of {}", self.path.display()), message)));
            }
            let numbers = Numbers { read: self.files + 1, written: self.files + 1, file: self.files + 1 };
            let another = name_of(&self.pattern, numbers).map_err(Failure::Usage)?;
            if !is_for_each(&self.pattern) || !another.exists() {
                return Ok(None);
            }
            self.files += 1;
            (self.path, self.reader) = Input::reader(&self.pattern, self.files)?;
        }
    }
}

// ---- out ----

/// May a file be written over that is there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// Whoever sits at the terminal is asked.
    Ask,
    Replace,
    Append,
}

pub struct Output {
    pattern: PathBuf,
    present: Present,
    for_each: bool,
    current: Option<(PathBuf, File)>,
    /// Written since the last [`Output::keep`].
    unsure: Vec<PathBuf>,
    /// Of the current file, kept.
    kept_bytes: u64,
    pub files: u64,
}

impl Output {
    /// # Errors
    /// An insert that is none.
    pub fn new(pattern: &Path, present: Present) -> Result<Output, Failure> {
        name_of(pattern, Numbers::default()).map_err(Failure::Usage)?;
        Ok(Output {
            pattern: pattern.to_path_buf(),
            present,
            for_each: is_for_each(pattern),
            current: None,
            unsure: Vec::new(),
            kept_bytes: 0,
            files: 0,
        })
    }

    pub fn is_stdout(&self) -> bool {
        self.pattern == Path::new("stdout")
    }

    /// Whether each message has a file of its own.
    pub fn is_for_each(&self) -> bool {
        self.for_each
    }

    /// # Errors
    /// What could not be written.
    pub fn write(&mut self, numbers: Numbers, bytes: &[u8]) -> Result<(), Failure> {
        if self.is_stdout() {
            output::write_body(bytes);
            self.files = 1;
            return Ok(());
        }
        if self.for_each || self.current.is_none() {
            self.open(Numbers { file: self.files + 1, ..numbers })?;
            self.files += 1;
        }
        let (path, file) = self.current.as_mut().expect("opened above");
        file.write_all(bytes).map_err(|error| Failure::local(path.display(), error))?;
        if self.for_each { sync(path, file) } else { Ok(()) }
    }

    fn open(&mut self, numbers: Numbers) -> Result<(), Failure> {
        let path = name_of(&self.pattern, numbers).map_err(Failure::Usage)?;
        let failed = |error| Failure::local(path.display(), error);
        let mut options = File::options();
        options.write(true).create(true).append(self.present == Present::Append);
        let is_there = std::fs::metadata(&path).is_ok_and(|there| there.is_file());
        if is_there && self.present == Present::Ask && !self.may_replace(&path) {
            let text = format!("{} is there; -F writes over it, -a a behind what is in it", path.display());
            return Err(Failure::Local(text));
        }
        options.truncate(self.present != Present::Append);
        let mut file = options.open(&path).map_err(failed)?;
        self.kept_bytes = match self.present {
            Present::Append => file.seek(io::SeekFrom::End(0)).map_err(failed)?,
            _ => 0,
        };
        self.unsure.push(path.clone());
        self.current = Some((path, file));
        Ok(())
    }

    fn may_replace(&mut self, path: &Path) -> bool {
        if !output::stdin_is_terminal() {
            return false;
        }
        loop {
            eprintln!("File '{}' exists - overwrite (y)es/(n)o/(a)ll ?", path.display());
            let mut line = String::new();
            if !io::stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                return false;
            }
            match line.trim() {
                "y" => return true,
                "n" => return false,
                "a" => {
                    self.present = Present::Replace;
                    return true;
                }
                _ => {}
            }
        }
    }

    /// What was written is on disk when this returns.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync(&mut self) -> Result<(), Failure> {
        if let Some((path, file)) = &self.current {
            sync(path, file)?;
        }
        // A name that is new is safe when its directory is.
        for path in &self.unsure {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            let synced = File::open(parent).and_then(|directory| directory.sync_all());
            synced.map_err(|error| Failure::local(parent.display(), error))?;
        }
        Ok(())
    }

    /// What was written so far stays.
    pub fn keep(&mut self) {
        self.unsure.clear();
        if let Some((_, file)) = &mut self.current {
            self.kept_bytes = file.stream_position().unwrap_or_default();
        }
    }

    /// What was written since [`Output::keep`] is there no more, for its messages are on their queue again.
    ///
    /// # Errors
    /// What could not be taken back: then it is in the file and on the queue.
    pub fn undo(&mut self) -> Result<(), Failure> {
        if self.for_each {
            self.files -= self.unsure.len() as u64;
            self.current = None;
            for path in self.unsure.drain(..) {
                std::fs::remove_file(&path).map_err(|error| Failure::local(path.display(), error))?;
            }
            return Ok(());
        }
        let Some((path, file)) = &mut self.current else { return Ok(()) };
        if !file.metadata().is_ok_and(|of| of.is_file()) {
            return Ok(());
        }
        let cut =
            file.set_len(self.kept_bytes).and_then(|()| file.seek(io::SeekFrom::Start(self.kept_bytes)));
        cut.map(drop).map_err(|error| Failure::local(path.display(), error))
    }
}

/// A device has nothing to be synced.
fn sync(path: &Path, file: &File) -> Result<(), Failure> {
    let is_file = file.metadata().is_ok_and(|of| of.is_file());
    match file.sync_all() {
        Err(error) if is_file => Err(Failure::Local(format!("{}: {}", path.display(), plain::error(error)))),
        _ => Ok(()),
    }
}
