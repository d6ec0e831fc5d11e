//! `qeinsum run --batch`: many cases in one process, none of which stops the others.
//!
//! A line's fields are kept as they were written until they are needed, so that an answer carries the line's `id`
//! whatever the id is and whatever else is wrong with the line.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read as _};

use qeinsum::{Syntax, printable_text};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::case::{Case, Precision, Reporting};
use crate::destination::print;
use crate::equation;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::settings::{Settings, SettingsArgs};
use crate::text_file;

/// The most bytes of a line: far more than a case needs.
const LINE_LIMIT: u64 = 1 << 24;

/// A line's fields, each as it was written.
struct Fields {
    entries: BTreeMap<String, Box<RawValue>>,
    /// One that stands twice, of which the first was kept.
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields { entries: BTreeMap::new(), twice: None };
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            match fields.entries.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(entry) => fields.twice = Some(entry.key().clone()),
            }
        }
        Ok(fields)
    }
}

/// What is printed for a line.
#[derive(Serialize)]
struct Answer<'a> {
    id: Option<&'a RawValue>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs the cases of a file; fails only where the file cannot be read or answers cannot be written.
pub(crate) fn run(file: &OsStr, arguments: &SettingsArgs) -> Result<(), Failure> {
    let settings = arguments.read()?;
    let name = text_file::shown(file);
    let mut lines = BufReader::new(text_file::open(file)?);
    let progress = match count(file)? {
        Some(cases) => Progress::counted("running", cases, "cases"),
        None => Progress::start("running"),
    };
    let mut line = Vec::new();
    loop {
        let failed = |error| Failure::of_file(&name, "read", &error);
        line.clear();
        if (&mut lines).take(LINE_LIMIT + 1).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        if line.len() as u64 > LINE_LIMIT {
            skip_line(&mut lines).map_err(failed)?;
            let message = format!("the line is over the limit of {LINE_LIMIT} bytes");
            answer(None, Err(Failure::Request(message)))?;
            continue;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        // What is not UTF-8 is refused below, but not without an answer that tells which line it was.
        let fields: serde_json::Result<Fields> = serde_json::from_str(&String::from_utf8_lossy(&line));
        let id = fields.as_ref().ok().and_then(|fields| fields.entries.get("id")).map(Box::as_ref);
        let done = utf8(&line).and_then(|()| match &fields {
            Ok(fields) => case(fields, &settings),
            Err(error) => Err(wrong("the line is no JSON object", error)),
        });
        answer(id, done)?;
        progress.advance(1);
    }
}

/// How many lines a file has that are not blank; none for standard input, which tells only as it comes.
fn count(file: &OsStr) -> Result<Option<u64>, Failure> {
    if file == "-" {
        return Ok(None);
    }
    let mut cases = 0;
    let mut blank = true;
    for byte in BufReader::new(text_file::open(file)?).bytes() {
        let byte = byte.map_err(|error| Failure::of_file(&text_file::shown(file), "read", &error))?;
        cases += u64::from(byte == b'\n' && !blank);
        blank = byte == b'\n' || (blank && byte.is_ascii_whitespace());
    }
    Ok(Some(cases + u64::from(!blank)))
}

fn answer(id: Option<&RawValue>, done: Result<(), Failure>) -> Result<(), Failure> {
    let (code, error) = match done {
        Ok(()) => (None, None),
        Err(failure) => (Some(failure.code()), Some(failure.diagnostic())),
    };
    let answer = Answer { id, ok: code.is_none(), code, error };
    let text =
        serde_json::to_string(&answer).map_err(|error| Failure::Machine(format!("the answer is no JSON: {error}")))?;
    print(&(text + "\n"))
}

/// Reads on to the end of a line without keeping it.
fn skip_line(lines: &mut impl BufRead) -> io::Result<()> {
    loop {
        let part = lines.fill_buf()?;
        let end = part.iter().position(|&byte| byte == b'\n');
        let read = end.map_or(part.len(), |at| at + 1);
        lines.consume(read);
        if end.is_some() || read == 0 {
            return Ok(());
        }
    }
}

fn utf8(line: &[u8]) -> Result<(), Failure> {
    str::from_utf8(line).map(drop).map_err(|error| {
        let at = error.valid_up_to();
        Failure::Request(format!("the line is not UTF-8: byte \\x{:02x} at position {at}", line[at]))
    })
}

fn case(fields: &Fields, settings: &Settings<'_>) -> Result<(), Failure> {
    if let Some(name) = &fields.twice {
        return Err(Failure::Request(format!("the line has `{}` twice", printable_text(name, 40))));
    }
    let text: String = field(fields, "eq")?;
    let named = if fields.entries.contains_key("named") { field(fields, "named")? } else { false };
    let inputs: Vec<OsString> = field::<Vec<String>>(fields, "inputs")?.into_iter().map(OsString::from).collect();
    let out = OsString::from(field::<String>(fields, "out")?);
    if out == "-" {
        let message = "`-` as `out` would mix with the answers: name a file";
        return Err(Failure::Request(message.to_owned()));
    }
    // The system takes no such name, and says so in other words.
    if inputs.iter().chain([&out]).any(|path| path.as_encoded_bytes().contains(&0)) {
        return Err(Failure::Request("a path has a U+0000 in it".to_owned()));
    }
    let equation = equation::parse(&text, if named { Syntax::Named } else { Syntax::Compact })?;
    let (reporting, precision) = (Reporting::Silent, Precision::Any);
    Case { equation, inputs: &inputs, out: &out, reporting, precision, checkpoint: None }.run(settings, None).map(drop)
}

fn field<T: DeserializeOwned>(fields: &Fields, name: &str) -> Result<T, Failure> {
    let Some(value) = fields.entries.get(name) else {
        return Err(Failure::Request(format!("the line has no `{name}`")));
    };
    serde_json::from_str(value.get()).map_err(|error| wrong(&format!("`{name}` is not what it should be"), &error))
}

fn wrong(what: &str, error: &serde_json::Error) -> Failure {
    Failure::Request(format!("{what}: {}", printable_text(&error.to_string(), 200)))
}
