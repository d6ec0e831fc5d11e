//! Files made to break readers: each rule of each format broken once, and refused with the words that say which one it was, in
//! a process that could not take the memory that some of them claim.

use std::fs::File;
use std::io::{Cursor, Write as _};

use ndarray::arr1;
use qeinsum::QEinsum;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::harness::Folder;

/// An `.npy` file of this `descr`, order and shape.
fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes(), data].concat()
}

fn floats(shape: &str, data: &[u8]) -> Vec<u8> {
    npy("'<f4'", "False", shape, data)
}

fn npz(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An archive whose first entry is said to be encrypted.
fn locked(mut bytes: Vec<u8>) -> Vec<u8> {
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[directory + 8] |= 1;
    bytes
}

/// The same bytes with those of every `from` replaced.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// One tensor, whose fields are these.
fn tensor(fields: &str, data: &[u8]) -> Vec<u8> {
    safetensors(&format!(r#"{{"a":{{{fields}}}}}"#), data)
}

/// Runs a command on each file, which is its last argument but for what stands after it.
fn all_refused(test: &str, command: &str, cases: Vec<(&str, Vec<u8>, &str)>) {
    let folder = Folder::new(test);
    for (name, bytes, expected) in cases {
        folder.write(name, bytes);
        let line = command.replace("FILE", name);
        let arguments: Vec<&str> = line.split(' ').collect();
        folder.run_confined(&arguments).refused(2, expected);
        std::fs::remove_file(folder.path(name)).unwrap();
    }
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn arrays() {
    all_refused(
        "hostile-npy",
        "run i->i FILE --out o.npy",
        vec![
            ("empty.npy", vec![], "it is empty"),
            ("pickle.npy", b"\x80\x04\x95\x10\x00\x00\x00\x00".to_vec(), "not an .npy file"),
            ("object.npy", npy("'|O'", "False", "(1,)", &[0; 8]), "pickled objects are never loaded"),
            ("structured.npy", npy("[('a', '<f4')]", "False", "(1,)", &[0; 4]), "structured arrays"),
            ("integers.npy", npy("'<i8'", "False", "(1,)", &[0; 8]), "int64 arrays are not supported yet"),
            ("claim.npy", floats("(4000000000,)", &[0; 4]), "announces 16000000000 bytes of elements, but there are 4"),
            ("wraps.npy", floats("(4294967296, 4294967296)", &[]), "overflow"),
            ("digits.npy", floats(&format!("({},)", "9".repeat(60_000)), &[]), "is beyond what a machine can address"),
            ("negative.npy", floats("(-1,)", &[0; 4]), "negative size"),
            ("nested.npy", floats(&"(".repeat(60_000), &[]), "where a size"),
            ("order.npy", npy("'<f4'", "1", "(1,)", &[0; 4]), "where `True` or `False`"),
            ("long.npy", [b"\x93NUMPY\x02\x00".as_slice(), &[255; 4]].concat(), "claims 4294967295 bytes"),
            ("short.npy", floats("(2,)", &[0; 7]), "announces 8 bytes of elements, but there are 7"),
            ("more.npy", floats("(2,)", &[0; 9]), "announces 8 bytes of elements, but there are 9"),
        ],
    );
}

#[test]
fn archives() {
    let small = floats("(4,)", &[0; 16]);
    let zeros = floats("(10000000,)", &vec![0; 40_000_000]);
    let lying = npz(&[("a.npy", &[small.as_slice(), &vec![0; 10_000_000]].concat())]);
    let length = (small.len() as u32 + 10_000_000).to_le_bytes();
    all_refused(
        "hostile-npz",
        "run i->i FILE --out o.npy --max-memory 50MB",
        vec![
            ("cut.npz", npz(&[("a.npy", &small)])[..100].to_vec(), "not a readable .npz archive"),
            ("none.npz", npz(&[]), "there is none"),
            ("which.npz", npz(&[("a.npy", &small), ("b.npy", &small)]), "name one array"),
            ("twice.npz", replaced(npz(&[("a.npy", &small), ("b.npy", &small)]), b"b.npy", b"a.npy"), "the same name"),
            ("locked.npz", locked(npz(&[("a.npy", &small)])), "unsupported Zip archive"),
            ("no-array.npz", npz(&[("a.npy", b"\x80\x04pickle")]), "not an .npy file"),
            // Some 40 kB that hold 40 MB, and say so.
            ("bomb.npz", npz(&[("a.npy", &zeros)]), "over the memory limit of"),
            // Some 10 kB that hold 10 MB, where the array's header has 16 bytes; then also the directory says so.
            ("longer.npz", lying.clone(), "announces 16 bytes of elements, but there are 10000016"),
            ("lies.npz", replaced(lying, &length, &(small.len() as u32).to_le_bytes()), "lies.npz"),
        ],
    );
}

#[test]
fn tensors() {
    let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
    let floats = |shape: &str, offsets: &str, data: &[u8]| {
        tensor(&format!(r#""dtype":"F32","shape":[{shape}],"data_offsets":[{offsets}]"#), data)
    };
    let two = |first: &str, second: &str| {
        let tensor = |offsets: &str| format!(r#"{{"dtype":"F32","shape":[1],"data_offsets":[{offsets}]}}"#);
        safetensors(&format!(r#"{{"a":{},"b":{}}}"#, tensor(first), tensor(second)), &[0; 12])
    };
    all_refused(
        "hostile-safetensors",
        "run i->i FILE --out o.npy",
        vec![
            ("empty.safetensors", vec![], "the header claims 0 bytes"),
            ("length.safetensors", vec![255; 8], "the header claims 18446744073709551615 bytes"),
            ("deep.safetensors", safetensors(&deep, &[]), "not a valid .safetensors file"),
            ("shape.safetensors", floats("2", "0,4", &[0; 4]), "invalid shape"),
            ("wraps.safetensors", floats("4294967296,4294967296", "0,0", &[]), "overflow"),
            ("begin.safetensors", floats("1", "4,0", &[0; 4]), "invalid offset"),
            ("end.safetensors", floats("1", "18446744073709551612,18446744073709551616", &[0; 4]), "not a valid"),
            ("past.safetensors", floats("1000000000", "0,4000000000", &[0; 4]), "announces 4000000000 bytes"),
            ("rest.safetensors", floats("1", "0,4", &[0; 5]), "announces 4 bytes of elements, but there are 5"),
            ("overlap.safetensors", two("0,4", "0,4"), "invalid offset"),
            ("gap.safetensors", two("0,4", "8,12"), "invalid offset"),
            (
                "dtype.safetensors",
                tensor(r#""dtype":"F99","shape":[1],"data_offsets":[0,4]"#, &[0; 4]),
                "unknown variant",
            ),
            (
                "int.safetensors",
                tensor(r#""dtype":"I8","shape":[4],"data_offsets":[0,4]"#, &[0; 4]),
                "I8: not supported",
            ),
            (
                "twice.safetensors",
                safetensors(
                    r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
                    &[],
                ),
                "key `a` stands twice",
            ),
            ("metadata.safetensors", safetensors(r#"{"__metadata__":{"b":"","b":""}}"#, &[]), "key `b` stands twice"),
        ],
    );
}

#[test]
fn configurations() {
    let inline = format!("version = 1\n{}{}", "step.0.step.0.step = {".repeat(70), "}".repeat(70));
    let config = |text: &str| text.as_bytes().to_vec();
    all_refused(
        "hostile-config",
        "plan ij,jk --shapes 2x3,3x4 --config FILE",
        vec![
            ("text.toml", vec![0xff, 0xfe], "not UTF-8: byte \\xff at position 0"),
            ("long.toml", vec![b'\n'; (1 << 20) + 1], "over the limit of 1048576 bytes"),
            ("twice.toml", config("version = 1\nversion = 1"), "line 2: duplicate key"),
            ("table.toml", config("version = 1\n[operand.1]\nbits = 4\n[operand.1]\n"), "line 4: duplicate key"),
            (
                "twice.json",
                config(r#"{"version":1,"operand":{"1":{"bits":4},"1":{"bits":5}}}"#),
                "key `1` stands twice",
            ),
            ("step.json", config(r#"{"version":1,"step":{"0":{},"0":{}}}"#), "key `0` stands twice"),
            ("field.json", config(r#"{"version":1,"version":1}"#), "duplicate field `version`"),
            ("unknown.toml", config("version = 1\n\"\\u001b[31m\" = 1"), "unknown field `\\u{1b}[31m`"),
            ("digits.toml", config(&format!("version = {}", "1".repeat(100_000))), "integer number overflowed"),
            ("float.toml", config("version = 1\nstatic_bound = 1e999999999"), "floating-point number overflowed"),
            ("null.json", config(r#"{"version":1,"operand":null}"#), "invalid type: null"),
            (
                "brackets.toml",
                config(&format!("version = {}", "[".repeat(100_000))),
                "line 1: no setting lies in so many",
            ),
            ("keys.toml", config(&format!("version = 1\n{}a = 1", "step.".repeat(100_000))), "line 2: no setting lies"),
            ("tables.toml", config(&inline), "line 2: no setting lies in so many tables"),
            ("deep.json", config(&r#"{"step":{"0":"#.repeat(50_000)), "recursion limit"),
        ],
    );
}

#[test]
fn networks_and_plans() {
    let plan = QEinsum::new("ij,jk->ik").unwrap().plan(&[&[2, 3], &[3, 4]]).unwrap().to_json();
    let digits =
        plan.replacen("\"multiplications\": \"24\"", &format!("\"multiplications\": \"{}\"", "9".repeat(1_000_000)), 1);
    let twice = plan.replacen("\"i\": 2", "\"i\": 7, \"i\": 2", 1);
    assert!(digits != plan && twice != plan, "{plan}");
    let json = |text: &str| text.as_bytes().to_vec();
    all_refused(
        "hostile-network",
        "plan --network FILE",
        vec![
            ("twice.json", json(r#"{"inputs":[["i"]],"output":[],"sizes":{"i":2,"i":3}}"#), "key `i` stands twice"),
            (
                "size.json",
                json(r#"{"inputs":[["i"]],"output":[],"sizes":{"i":18446744073709551616}}"#),
                "this is no network",
            ),
            (
                "wraps.json",
                json(r#"{"inputs":[["i","j"]],"output":[],"sizes":{"i":4294967296,"j":4294967296}}"#),
                "overflow",
            ),
            ("deep.json", json(&format!(r#"{{"x":{}"#, "[".repeat(1_000_000))), "this is no network"),
            (
                "axes.json",
                json(&format!(r#"{{"inputs":[[{}"i"]],"output":[],"sizes":{{"i":1}}}}"#, "\"i\",".repeat(2000))),
                "2001 axes",
            ),
        ],
    );
    all_refused(
        "hostile-plan",
        "run ij->ij none.npy --out o.npy --plan FILE",
        vec![
            ("digits.json", json(&digits), "a cost of 1000000 digits; the limit is 65536"),
            ("twice.json", json(&twice), "key `i` stands twice"),
            ("deep.json", json(&format!(r#"{{"format":{}"#, "[".repeat(1_000_000))), "this is no plan"),
        ],
    );
    all_refused(
        "hostile-path",
        "plan ij,jk --shapes 2x3,3x4 --path @FILE",
        vec![
            ("open.txt", json(&"(".repeat(1_000_000)), "is no path"),
            ("number.txt", json(&format!("(0,{})", "1".repeat(1_000_000))), "is no path"),
            ("many.txt", json(&"(0,1) ".repeat(10_000)), "the path contracts 10001 operands, but the equation has 2"),
        ],
    );
}

/// A batch answers for each line, so that the fault of one is in its answer.
#[test]
fn lines_of_a_batch() {
    let folder = Folder::new("hostile-batch");
    folder.save("a.npy", arr1(&[1.0_f32, 2.0]).into_dyn());
    let cases = [
        (r#"{"id":1,"eq":"i->i","id":2}"#.to_owned(), "1", "the line has `id` twice"),
        (
            r#"{"id":3,"eq":"i->i","eq":"i->","inputs":["a.npy"],"out":"o.npy"}"#.to_owned(),
            "3",
            "the line has `eq` twice",
        ),
        (format!(r#"{{"id":{}"#, "[".repeat(100_000)), "null", "the line is no JSON object"),
    ];
    for (line, id, expected) in cases {
        folder.write("cases.jsonl", &line);
        let ran = folder.run_confined(&["run", "--batch", "cases.jsonl"]);
        let answer = ran.json();
        assert_eq!(answer["id"].to_string(), id, "{line:.80}");
        assert!(answer["error"].as_str().unwrap().contains(expected), "{answer}");
    }
    assert_eq!(folder.names(), ["a.npy", "cases.jsonl"]);
}

/// A file may truly be as long as it says, and hold nothing.
#[test]
fn what_is_announced_is_budgeted_before_it_is_read() {
    let folder = Folder::new("hostile-sparse");
    let header = r#"{"__metadata__":{"format":"qeinsum.frozen"},"a":{"dtype":"F32","shape":[2000000000],"data_offsets":[0,8000000000]}}"#;
    for (name, start, expected) in [
        ("a.npy", floats("(2000000000,)", &[]), "over the memory limit of"),
        ("a.safetensors", safetensors(header, &[]), "over the memory limit of"),
    ] {
        folder.write(name, &start);
        let file = File::options().write(true).open(folder.path(name)).unwrap();
        file.set_len(start.len() as u64 + 8_000_000_000).unwrap();
        folder.run_confined(&["run", "i->i", name, "--out", "o.npy", "--max-memory", "1GB"]).refused(2, expected);
    }
}

/// What the system would not give ends the process where it is asked for on the way.
#[test]
fn what_the_system_does_not_give_is_asked_for_before_anything_is_read() {
    let folder = Folder::new("hostile-memory");
    let sparse = |name: &str, shape: &str, bytes: u64| {
        let start = floats(shape, &[]);
        folder.write(name, &start);
        let file = File::options().write(true).open(folder.path(name)).unwrap();
        file.set_len(start.len() as u64 + bytes).unwrap();
    };
    sparse("m.npy", "(12000, 12000)", 4 * 12_000 * 12_000);
    sparse("v.npy", "(12000,)", 4 * 12_000);
    sparse("one.npy", "()", 4);
    let started = std::time::Instant::now();
    for line in [
        "run ij->ji m.npy --out o.npy",
        "run ij->ji m.npy --out o.safetensors",
        "run ij,j-> m.npy v.npy --cast f64 --out o.npy",
        "run ij,j-> m.npy v.npy --cast c64 --out o.npy",
        "run ij,jk->ik m.npy m.npy --slice i --out o.npy",
        "freeze ij,j->i m.npy v.npy --operand 0 --bits 8 --cast f16 --out o.safetensors",
        "vjp ij,j-> m.npy v.npy --cotangent one.npy --out-dir o",
        "bench ij,jk->ik --shapes 20000x20000,20000x3 --max-memory 100GB --seconds 1",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        folder.run_confined(&arguments).refused(1, "more than the system gives");
    }
    assert!(started.elapsed().as_secs() < 20);
    assert_eq!(folder.names(), ["m.npy", "one.npy", "v.npy"]);
}
