//! Compares everything that the golden sets hold with what this crate computes, bit for bit.
//!
//! Reads every set under `QEINSUM_GOLDENS` (default: the project's own copy): the folder is one set, or holds sets as
//! sub-folders. Prints what became of every array and fails on a difference, on a set that is empty or cannot be read,
//! and on an array left alone whose kind is not on the list below.

#![allow(clippy::print_stdout, reason = "what became of every array is what this prints")]
#![allow(clippy::unwrap_used, reason = "a golden set that cannot be read has failed")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[path = "goldens/config.rs"]
mod config;
#[path = "goldens/forward.rs"]
mod forward;
#[path = "goldens/frozen.rs"]
mod frozen;
#[path = "goldens/lowering.rs"]
mod lowering;
#[path = "goldens/multi.rs"]
mod multi;
#[path = "goldens/rng.rs"]
mod rng;
#[path = "goldens/set.rs"]
mod set;
#[path = "goldens/stage.rs"]
mod stage;
#[path = "goldens/sums.rs"]
mod sums;

use set::Set;

/// Kinds of arrays that nothing compares, by the last parts of their names, digits left out. It is empty, and stays so.
const LEFT_ALONE: [&str; 0] = [];

fn main() -> ExitCode {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/sets");
    let root = std::env::var_os("QEINSUM_GOLDENS").map_or(default, PathBuf::from);
    let folders = match sets(&root) {
        Ok(folders) => folders,
        Err(error) => return fail(&error),
    };
    let (mut passed, mut failed) = (0, 0);
    for folder in folders {
        match check(&folder) {
            Ok(()) => passed += 1,
            Err(reason) => {
                failed += 1;
                println!("{reason}");
            }
        }
    }
    println!("goldens: {passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { fail("the goldens do not hold") }
}

fn fail(reason: &str) -> ExitCode {
    println!("error: {reason}");
    ExitCode::FAILURE
}

/// The folder itself where it is a set, else its sub-folders that are.
fn sets(root: &Path) -> Result<Vec<PathBuf>, String> {
    let is_set = |folder: &Path| folder.join("arrays.safetensors").exists() || folder.join("manifest.json").exists();
    if is_set(root) {
        return Ok(vec![root.to_owned()]);
    }
    let entries = std::fs::read_dir(root).map_err(|error| format!("{}: {error}", root.display()))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    if folders.is_empty() {
        return Err(format!("{} holds no golden set", root.display()));
    }
    Ok(folders)
}

fn check(folder: &Path) -> Result<(), String> {
    let mut set = Set::read(folder)?;
    let lowered = lowering::check(&mut set);
    forward::check(&mut set);
    if let Some(document) = set.document("rng") {
        let report = rng::check(&document, &set.tensors());
        report.compared.iter().for_each(|name| set.mark_compared(name));
        report.differences.into_iter().for_each(|difference| set.differ(difference));
    }
    let mut configs = config::Report::default();
    if let Some(entries) = set.document("cases").map(|cases| cases["config_equivalence"].clone())
        && entries.is_array()
    {
        configs = config::check(&entries);
        configs.differences.iter().for_each(|difference| set.differ(difference.clone()));
    }
    let (read, compared, inputs, left) = set.tally();
    println!(
        "{}: {read} arrays read, {compared} compared ({} sums equal only by a rule, {} arrays behind them), {inputs} used as inputs, {} left alone; {lowered} lowerings, {} \
         configurations compared, {} left alone",
        set.name,
        set.by_rule,
        set.behind_rule,
        left.len(),
        configs.compared,
        configs.left_alone
    );
    let mut problems = set.differences.clone();
    let unknown = |name: &&str| !LEFT_ALONE.iter().any(|kind| is_kind(name, kind));
    problems.extend(left.iter().copied().filter(unknown).map(|name| format!("{name} was left alone")));
    if compared == 0 {
        problems.push("nothing was compared".to_owned());
    }
    if problems.is_empty() {
        return Ok(());
    }
    let shown: Vec<&str> = problems.iter().map(String::as_str).take(40).collect();
    Err(format!("{}: {} differences\n  {}", set.name, problems.len(), shown.join("\n  ")))
}

/// Whether the last parts of an array's name, without digits, are this kind.
///
/// The first part names a case. A kind that ends in `/` or `_` stands for all that begin with it.
fn is_kind(name: &str, kind: &str) -> bool {
    let digits_gone: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
    let parts: Vec<&str> = digits_gone.split('/').collect();
    (1..parts.len()).any(|from| {
        let last = parts[from..].join("/");
        last == kind || (kind.ends_with(['/', '_']) && last.starts_with(kind))
    })
}
