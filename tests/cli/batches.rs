//! `run --batch`: answers for lines of any kind.

use serde_json::{Value, json};

use crate::harness::Folder;

fn answers(folder: &Folder, lines: &[&[u8]], flags: &[&str]) -> Vec<Value> {
    folder.write("cases.jsonl", lines.join(&b'\n'));
    let ran = folder.run(&[&["run", "--batch", "cases.jsonl"], flags].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    ran.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn no_line_stops_the_others() {
    let folder = Folder::with_arrays("batch");
    let lines: &[(&[u8], Value, &str)] = &[
        (br#"{"id": "first", "eq": "ij,jk", "named": false, "inputs": ["a.npy", "b.npy"], "out": "o1.npy"}"#, json!("first"), ""),
        (b"no json", Value::Null, "the line is no JSON object: expected ident at line 1 column 2"),
        (b"[1, 2]", Value::Null, "the line is no JSON object: invalid type: sequence"),
        (b"\"text\"", Value::Null, "the line is no JSON object"),
        (b"null", Value::Null, "the line is no JSON object"),
        (b"{}", Value::Null, "the line has no `eq`"),
        (br#"{"id": 3}"#, json!(3), "the line has no `eq`"),
        (br#"{"id": [1, {"a": null}], "eq": 5}"#, json!([1, {"a": null}]), "`eq` is not what it should be: invalid type"),
        (br#"{"id": "x", "eq": "\ud800"}"#, json!("x"), "`eq` is not what it should be: unexpected end of hex escape"),
        (br#"{"id": "u", "eq": "ij", "inputs": ["a.npy"], "named": 1, "out": "o.npy"}"#, json!("u"), "`named` is not"),
        (br#"{"id": "v", "eq": "ij", "inputs": "a.npy", "out": "o.npy"}"#, json!("v"), "`inputs` is not"),
        (br#"{"id": "w", "eq": "ij", "inputs": ["a.npy"]}"#, json!("w"), "the line has no `out`"),
        (br#"{"id": "y", "eq": "ij", "inputs": ["a.npy"], "out": "-"}"#, json!("y"), "`-` as `out`"),
        (b"{\"id\": \"z\", \"eq\": \"\xff\"}", json!("z"), "the line is not UTF-8: byte \\xff at position 19"),
        (br#"{"id": null, "eq": "i\u0000j", "inputs": ["a.npy"], "out": "o.npy"}"#, Value::Null, "U+0000"),
        (br#"{"id": "", "eq": "ij,jk", "inputs": ["a.npy", "a.npy"], "out": "o.npy"}"#, json!(""), "\n  ij,jk\n   ^ ^"),
        (br#"{"id": "n", "eq": "ij", "inputs": ["none.npy"], "out": "o.npy"}"#, json!("n"), "`none.npy`: no such file"),
        (b"  \r", Value::Null, "an empty line has no answer"),
        (br#"{"id": "last", "eq": "row x -> x row", "named": true, "inputs": ["a.npy"], "out": "o2.npy", "more": 1}"#, json!("last"), ""),
    ];
    let found = answers(&folder, &lines.iter().map(|line| line.0).collect::<Vec<_>>(), &[]);
    let expected: Vec<_> = lines.iter().filter(|line| line.0 != b"  \r").collect();
    assert_eq!(found.len(), expected.len());
    for (answer, (_, id, error)) in found.iter().zip(expected) {
        assert_eq!(answer["id"], *id);
        if error.is_empty() {
            assert_eq!(*answer, json!({"id": id, "ok": true}));
        } else {
            assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!(2)), "{answer}");
            let text = answer["error"].as_str().unwrap();
            assert!(text.starts_with("error: ") && text.contains(error), "{text}");
        }
    }
    folder.run(&["run", "ij,jk", "a.npy", "b.npy", "--out", "single.npy"]).done();
    assert_eq!(folder.read("o1.npy"), folder.read("single.npy"));
    assert!(folder.names().contains(&"o2.npy".to_owned()) && !folder.names().contains(&"o.npy".to_owned()));
}

#[test]
fn ids_come_back_as_they_were_written() {
    let folder = Folder::new("ids");
    let ids = ["123456789012345678901234567890", "1e400", "-0.0", "\"\\u00e9\"", "{\"b\":1,\"a\":2}", "true"];
    let lines: Vec<String> = ids.iter().map(|id| format!("{{\"id\": {id}}}")).collect();
    folder.write("cases.jsonl", lines.join("\n"));
    let ran = folder.run(&["run", "--batch", "cases.jsonl"]);
    for (line, id) in ran.out().lines().zip(ids) {
        assert!(line.starts_with(&format!("{{\"id\":{id},\"ok\":false,\"code\":2,")), "{line}");
    }
    assert_eq!(ran.out().lines().count(), ids.len());
}

#[test]
fn flags_hold_for_every_case() {
    let folder = Folder::with_arrays("batch-flags");
    let line = br#"{"id": 1, "eq": "ij,jk", "inputs": ["a.npy", "b.npy"], "out": "o.npy"}"#;
    assert_eq!(answers(&folder, &[line], &["--bits", "4"]), [json!({"id": 1, "ok": true})]);
    folder.run(&["run", "ij,jk", "a.npy", "b.npy", "--out", "single.npy", "--bits", "4"]).done();
    assert_eq!(folder.read("o.npy"), folder.read("single.npy"));
    let refused = &answers(&folder, &[line], &["--max-memory", "10"])[0];
    assert!(refused["error"].as_str().unwrap().contains("over the memory limit of 10 bytes"), "{refused}");
    let machine = br#"{"id": 2, "eq": "ij", "inputs": ["a.npy"], "out": "none/o.npy"}"#;
    assert_eq!(answers(&folder, &[machine], &[])[0]["code"], json!(1));
}

#[test]
fn a_line_without_end_is_refused_and_skipped() {
    let folder = Folder::with_arrays("batch-long");
    let mut lines = vec![b'x'; (1 << 24) + 10];
    lines.extend_from_slice(b"\n{\"id\": 1, \"eq\": \"ij\", \"inputs\": [\"a.npy\"], \"out\": \"o.npy\"}\n");
    lines.extend_from_slice(b"{\"id\": 2, \"eq\": \"i\", \"inputs\": [\"a\\u0000.npy\"], \"out\": \"o.npy\"}");
    folder.write("cases.jsonl", lines);
    let ran = folder.run(&["run", "--batch", "cases.jsonl"]);
    let answers: Vec<Value> = ran.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0]["error"], json!("error: the line is over the limit of 16777216 bytes"));
    assert_eq!(answers[1], json!({"id": 1, "ok": true}));
    assert_eq!((&answers[2]["id"], &answers[2]["code"]), (&json!(2), &json!(2)));
    assert_eq!(answers.len(), 3);
}

#[test]
fn cases_may_come_from_standard_input() {
    let folder = Folder::with_arrays("batch-stdin");
    let line = br#"{"id": 1, "eq": "ij->j", "inputs": ["a.npy"], "out": "o.npy"}"#;
    let ran = folder.run_with(&["run", "--batch", "-"], line);
    assert_eq!((ran.code, ran.out()), (0, "{\"id\":1,\"ok\":true}\n"));
    assert!(answers(&folder, &[], &[]).is_empty());
    folder.run(&["run", "--batch", "none.jsonl"]).refused(2, "`none.jsonl`: no such file");
}
