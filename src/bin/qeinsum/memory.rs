//! How much memory a run may take, and how much it will.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use qeinsum::{Dtype, Plan, QuantConfig};

use crate::failure::Failure;

const GIB: u64 = 1 << 30;
/// What is never taken unless asked for.
const MOST: u64 = 64 * GIB;

/// A number of bytes as a flag gives it: `4GiB`, `500MB`, `1048576`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit: u64 = match unit.trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => GIB,
            "TiB" => 1 << 40,
            _ => return Err("write a whole number of bytes, kB, MB, GB, TB, KiB, MiB, GiB or TiB".to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| "write a number such as `4GiB`".to_owned())?;
        number.checked_mul(unit).map(Self).ok_or_else(|| "more than 64 bits count".to_owned())
    }
}

/// `74.5 GiB (80000800000 bytes)`, rounded down to a tenth; `1023 bytes`.
pub(crate) fn shown(bytes: u64) -> String {
    for (unit, name) in [(GIB << 10, "TiB"), (GIB, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit {
            return format!("{}.{} {name} ({bytes} bytes)", bytes / unit, (bytes % unit) * 10 / unit);
        }
    }
    format!("{bytes} bytes")
}

/// 80 % of the smaller of the machine's memory and the control group's, but not more than 64 GiB; that also where
/// neither can be known.
pub(crate) fn default_limit() -> u64 {
    let known = [machine(), control_group()].into_iter().flatten().min();
    known.map_or(MOST, |bytes| (bytes / 5 * 4).min(MOST))
}

/// The machine's memory, where the system says it as Linux does.
pub(crate) fn machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of the control groups that this process is in.
pub(crate) fn control_group() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    text.lines().filter_map(|line| limit_of(line, Path::new("/sys/fs/cgroup"))).min()
}

/// The least limit along one line of `/proc/self/cgroup`: `ID:CONTROLLERS:PATH`, without controllers in version 2.
fn limit_of(line: &str, root: &Path) -> Option<u64> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let (root, file) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|each| each == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
        _ => return None,
    };
    let own: PathBuf = root.join(path.trim_start_matches('/'));
    let groups = own.ancestors().take_while(|group| group.starts_with(&root));
    // In a container the path may not be there, but its root is then the container's own group.
    groups.filter_map(|group| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()).min()
}

/// What a run does beside its float arrays.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work<'a> {
    /// Nothing: calls are float products.
    Float,
    /// It quantizes its calls.
    Quantized(&'a QuantConfig),
    /// It quantizes its calls and compares each with its float product.
    Measured(&'a QuantConfig),
}

impl<'a> Work<'a> {
    /// The configuration of its calls.
    pub(crate) fn config(self) -> Option<&'a QuantConfig> {
        match self {
            Self::Float => None,
            Self::Quantized(config) | Self::Measured(config) => Some(config),
        }
    }
}

/// Refuses a run that needs more than `limit`, before anything is read.
///
/// `file_bytes` is what the largest input takes in its file's own type where it is converted, else 0.
pub(crate) fn check(plan: &Plan, dtype: Dtype, work: Work, file_bytes: u64, limit: u64) -> Result<(), Failure> {
    within(needed(plan, dtype, work).and_then(|bytes| bytes.checked_add(file_bytes)), limit)
}

/// Refuses to read a file that takes more.
pub(crate) fn check_file(bytes: u64, name: &str, limit: u64) -> Result<(), Failure> {
    if bytes <= limit {
        return Ok(());
    }
    let (needed, limit) = (shown(bytes), shown(limit));
    Err(Failure::Request(format!(
        "`{name}`: to read it may take {needed}, over the memory limit of {limit}; `--max-memory` sets another"
    )))
}

/// Refuses what needs so many bytes, none where 64 bits do not count them, where that is more than `limit` or than there is.
pub(crate) fn within(needed: Option<u64>, limit: u64) -> Result<(), Failure> {
    if let Some(bytes) = needed.filter(|&bytes| bytes <= limit) {
        return given(bytes);
    }
    let needed = needed.map_or_else(|| "more bytes than 64 bits count".to_owned(), shown);
    let limit = shown(limit);
    Err(Failure::Request(format!(
        "the run needs {needed}, over the memory limit of {limit}; `--max-memory` sets another"
    )))
}

/// What a run takes for the panels that threads pack, and other scratch memory, beside what is counted.
const SCRATCH: u64 = 1 << 24;

/// Asks the system for what a run needs, all at once and before anything is read: what it does not give later ends the process.
fn given(needed: u64) -> Result<(), Failure> {
    let asked = usize::try_from(needed.saturating_add(SCRATCH));
    if needed < SCRATCH || asked.is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok()) {
        return Ok(());
    }
    Err(Failure::Machine(format!("the run needs {}, more than the system gives", shown(needed))))
}

/// The same for a run and its gradients, of which both the limit of runs and that of the plan, where there is one, are true.
pub(crate) fn check_gradients(
    plan: &Plan,
    dtype: Dtype,
    work: Work<'_>,
    file_bytes: u64,
    limit: u64,
    plan_limit: Option<u64>,
) -> Result<(), Failure> {
    let bytes = plan.gradient_bytes(dtype, work.config());
    if let (Some(limit), Some(bytes)) = (plan_limit, bytes)
        && bytes > limit
    {
        let message = format!("the memory limit is {limit} bytes: the run and its gradients need {bytes} bytes");
        return Err(Failure::Request(message));
    }
    let compared = compared(plan, dtype, work).and_then(|bytes| bytes.checked_mul(3));
    within(
        bytes.zip(compared).and_then(|(bytes, compared)| bytes.checked_add(compared)?.checked_add(file_bytes)),
        limit,
    )
}

/// The bytes that a run takes at most, with what it is compared with.
fn needed(plan: &Plan, dtype: Dtype, work: Work<'_>) -> Option<u64> {
    plan.run_bytes(dtype, work.config())?.checked_add(compared(plan, dtype, work)?)
}

/// The bytes of float products to compare with: of the largest call, and of the whole.
fn compared(plan: &Plan, dtype: Dtype, work: Work<'_>) -> Option<u64> {
    if !matches!(work, Work::Measured(_)) {
        return Some(0);
    }
    let bytes = |id| plan.value(id).bytes_in(dtype);
    let largest = plan.calls().try_fold(0, |largest: u64, step| Some(largest.max(bytes(step.result())?)))?;
    largest.checked_add(bytes(plan.output())?)
}

#[cfg(test)]
mod tests {
    use qeinsum::DotGeneralConfig;

    use super::*;

    #[test]
    fn bytes_are_read_and_shown() {
        let cases = [("0", 0), ("1048576", 1 << 20), ("4GiB", 4 * GIB), ("500MB", 500_000_000), ("1 KiB", 1024)];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "GiB", "-1", "4.5GiB", "4 gib", "99999999999999999999", "99999999TiB", " 4GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert_eq!(shown(80_000_800_000), "74.5 GiB (80000800000 bytes)");
        assert_eq!(shown(1023), "1023 bytes");
    }

    #[test]
    fn the_limit_is_known_and_no_more_than_asked() {
        let limit = default_limit();
        assert!(limit > 0 && limit <= MOST);
    }

    #[test]
    fn the_least_limit_up_the_tree_counts() {
        let root = std::env::temp_dir().join(format!("qeinsum-cgroup-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/memory.max"), "4096\n").unwrap();
        fs::write(root.join("a/b/memory.max"), "max\n").unwrap();
        assert_eq!(limit_of("0::/a/b", &root), Some(4096));
        assert_eq!(limit_of("0::/", &root), None);
        assert_eq!(limit_of("7:cpu:/a", &root), None);
        assert_eq!(limit_of("nonsense", &root), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn both_numbers_stand_in_the_message() {
        let plan = qeinsum::QEinsum::new("a,b->ab").unwrap().plan(&[&[1000], &[1000]]).unwrap();
        assert_eq!(check(&plan, Dtype::F32, Work::Float, 0, 5_000_000), Ok(()));
        let failure = check(&plan, Dtype::F64, Work::Float, 0, 5_000_000).unwrap_err();
        assert!(failure.diagnostic().contains("(8016000 bytes), over the memory limit of 4.7 MiB (5000000 bytes)"));
    }

    #[test]
    fn what_a_run_is_compared_with_counts() {
        let plan = qeinsum::QEinsum::new("ij,jk->ik").unwrap().plan(&[&[10, 20], &[20, 30]]).unwrap();
        let config = QuantConfig::from(DotGeneralConfig::v4().build().unwrap());
        let run = plan.run_bytes(Dtype::F32, Some(&config)).unwrap();
        assert_eq!(needed(&plan, Dtype::F32, Work::Quantized(&config)), Some(run));
        assert_eq!(needed(&plan, Dtype::F32, Work::Measured(&config)), Some(run + 2 * 4 * 300));
    }
}
