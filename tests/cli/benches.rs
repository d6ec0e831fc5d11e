//! `qeinsum bench`: what it says, never how long it took.

use serde_json::Value;

use crate::harness::Folder;
use crate::snapshot;

fn report(test: &str, arguments: &[&str]) -> Value {
    let folder = Folder::new(test);
    let arguments = [&["bench"], arguments, &["--seconds", "1", "--threads", "2", "--format", "json"]].concat();
    folder.run(&arguments).done().json()
}

#[test]
fn the_report_has_what_it_promises() {
    let report = report("bench", &["bij,bjk->bik", "--shapes", "2x8x16,2x16x8"]);
    assert_eq!(report["gop"], 2.0 * 2048.0 / 1e9);
    assert_eq!(report["threads"], 2);
    for key in ["f32_ms", "quantized_ms", "quantized_frozen_ms"] {
        let (min, median) = (report[key]["min"].as_f64().unwrap(), report[key]["median"].as_f64().unwrap());
        assert!(0.0 < min && min <= median, "{key}: {min} and {median}");
    }
    for key in ["peak_int8_gops", "peak_f32_gops"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}");
    }
    let sqnr = report["sqnr_db"].as_f64().unwrap();
    assert!((25.0..60.0).contains(&sqnr), "{sqnr} dB");
    assert_eq!(report["notes"], serde_json::json!([]));
}

#[test]
fn gradients_are_measured_where_they_are_asked_for_and_packed_sides_where_there_is_one_product() {
    let report = report("bench_backward", &["ij,jk->ik", "--shapes", "8x16,16x8", "--backward"]);
    for key in ["packed_ms", "backward_ms"] {
        assert!(report[key]["median"].as_f64().unwrap() > 0.0, "{key}");
    }
    let batch = self::report("bench_batch", &["bij,bjk->bik", "--shapes", "2x8x16,2x16x8"]);
    assert!(batch["packed_ms"].is_null() && batch["backward_ms"].is_null());
}

#[test]
fn what_cannot_be_measured_is_null_with_a_reason() {
    let without_call = report("bench_sum", &["ij->j", "--sizes", "i=4,j=3"]);
    assert!(without_call["quantized_ms"].is_null() && without_call["quantized_frozen_ms"].is_null());
    assert!(without_call["sqnr_db"].is_null());
    assert_eq!(without_call["notes"], serde_json::json!(["nothing is quantized: the plan has no call"]));
    let empty = report("bench_empty", &["ij,jk->ik", "--shapes", "3x0,0x3"]);
    assert!(empty["f32_ms"]["median"].is_number() && empty["quantized_ms"].is_null());
    assert!(empty["notes"][0].as_str().unwrap().starts_with("no quantized run: "));
}

#[test]
fn refusals() {
    let folder = Folder::new("bench_refusals");
    let text = folder.session(&[
        "bench ij,jk->ik",
        "bench ij,jk->ik --shapes 4x5,6x7",
        "bench ij,jk->ik --shapes 100000x100000,100000x100000 --max-memory 1GiB",
        "bench ij,jk->ik --shapes 4x5,5x7 --bits 99",
        "bench ij,jk->ik --shapes 4x5,5x7 --threads 0",
        "bench ij,jk->ik --shapes 4x5,5x7 --seconds 0",
    ]);
    snapshot::assert("cli__bench_refusals", "measurements that are refused", &text);
}
