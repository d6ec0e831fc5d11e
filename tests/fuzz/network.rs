//! Networks, paths, families and tables of speeds, as text.

use qeinsum::path::{Family, Optimizer, Path, SearchOptions, Speeds};
use qeinsum::{Dtype, Network, Plan};

use super::sound;

/// The first byte says what the others are.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&kind, content)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(content) else { return };
    match kind {
        b'n' => match Network::from_json(text) {
            Ok(network) => planned(&network),
            Err(error) => sound::error(&error),
        },
        b'p' => match text.parse::<Path>() {
            Ok(path) => written(&path),
            Err(error) => sound::error(&error),
        },
        b's' => match Path::from_ssa_text(text) {
            Ok(path) => written(&path),
            Err(error) => sound::error(&error),
        },
        b'f' => match Family::from_json(text) {
            Ok(family) => assert_eq!(Family::from_json(&family.to_json()).as_ref(), Ok(&family)),
            Err(error) => sound::error(&error),
        },
        b'v' => match Speeds::from_json(text) {
            Ok(speeds) => assert_eq!(Speeds::from_json(&speeds.to_json()).as_ref(), Ok(&speeds)),
            Err(error) => sound::error(&error),
        },
        _ => {}
    }
}

fn planned(network: &Network) {
    let Network { equation, sizes, .. } = network;
    if equation.operands().len() > 8 || equation.labels().len() > 24 {
        return;
    }
    let options = SearchOptions::new().optimizer(Optimizer::Greedy);
    match Plan::search(equation, sizes, &options, None, Dtype::F32, None, &false.into()) {
        Ok(plan) => sound::plan(&plan),
        Err(error) => sound::error(&error),
    }
}

/// A path is read again from every form that it is written in.
fn written(path: &Path) {
    assert_eq!(path.to_string().parse().as_ref(), Ok(path));
    assert_eq!(path.to_python().parse().as_ref(), Ok(path));
    assert_eq!(Path::from_ssa_text(&path.to_ssa_python()).as_ref(), Ok(path));
}
