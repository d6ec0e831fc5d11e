//! Golden random numbers: keys, bits, floats and noise of JAX, in both layouts.

use qeinsum::Key;
use qeinsum::rng::{Layout, Noise};
use safetensors::SafeTensors;
use serde_json::Value;

/// What comparing a set's random numbers found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Arrays that were compared, by name.
    pub(crate) compared: Vec<String>,
    /// Each figure that differs: where, and how.
    pub(crate) differences: Vec<String>,
}

impl Report {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, place: &str, ours: &T, golden: &T) {
        if ours != golden {
            self.differences.push(format!("{place}: ours {ours:?}, golden {golden:?}"));
        }
    }
}

/// Compares every entry of `rng.json` and every array that it names.
pub(crate) fn check(rng: &Value, arrays: &SafeTensors) -> Report {
    let mut report = Report::default();
    for entry in rng["entries"].as_array().expect("a list of entries") {
        let layout = if entry["partitionable"] == true { Layout::Partitionable } else { Layout::Original };
        let key = Key::new(entry["seed"].as_u64().expect("a seed")).with_layout(layout);
        let place = format!("{layout:?} {}", entry["seed"]);
        report.expect(&place, &key.words().to_vec(), &words(&entry["key"]));
        for count in [2, 3, 5] {
            let golden: Vec<Vec<u32>> =
                entry[format!("split{count}")].as_array().expect("a list of keys").iter().map(words).collect();
            let ours: Vec<Vec<u32>> = key.split(count).into_iter().map(|child| child.words().to_vec()).collect();
            report.expect(&format!("{place} split {count}"), &ours, &golden);
        }
        for (data, golden) in entry["fold_in"].as_object().expect("keys by number") {
            let folded = key.fold_in(data.parse().expect("a 32-bit number"));
            report.expect(&format!("{place} fold {data}"), &folded.words().to_vec(), &words(golden));
        }
        for arrays_of_shape in entry["arrays"].as_array().expect("a list of shapes") {
            let shape = arrays_of_shape["shape"].as_array().expect("a shape");
            let count = shape.iter().map(|size| size.as_u64().expect("a size") as usize).product();
            for (kind, name) in arrays_of_shape.as_object().expect("arrays by kind") {
                let ours = match kind.as_str() {
                    "shape" => continue,
                    "bits32" => key.bits32(count).into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>(),
                    "bits16" => key.bits16(count).into_iter().flat_map(u16::to_le_bytes).collect(),
                    "bits8" => key.bits8(count),
                    "uniform" => bytes(&key.uniform(count)),
                    "noise_jax_uniform" => bytes(&Noise::JaxUniform.values(key, count)),
                    "noise_custom1" => bytes(&Noise::Custom1.values(key, count)),
                    other => panic!("unknown kind of random array {other}"),
                };
                let name = name.as_str().expect("a name");
                let golden = arrays.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
                report.expect(name, &ours.as_slice(), &golden.data());
                report.compared.push(name.to_owned());
            }
        }
    }
    report
}

fn words(list: &Value) -> Vec<u32> {
    let word = |value: &Value| value.as_u64().and_then(|word| u32::try_from(word).ok()).expect("a 32-bit word");
    list.as_array().expect("a list of words").iter().map(word).collect()
}

fn bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|float| float.to_le_bytes()).collect()
}
