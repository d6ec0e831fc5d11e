//! The pictures of the guide say what the library does, and stand in its pages as they are in their files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ndarray::{ArrayD, Axis, array};

use crate::exec::{CallRecord, Factor, SideRecord, Sums};
use crate::lower::Side;
use crate::{DotGeneralConfig, Key, QEinsum, QuantConfig};

const PRODUCT: &str = include_str!("quantization_product.svg");
const ROW: &str = include_str!("quantization_row.svg");
const TRAINING: &str = include_str!("quantization_training.svg");

/// A link to a picture that needs no file, in characters that mean nothing to Markdown.
fn definition(name: &str, picture: &str) -> String {
    let mut text = format!("[{name}]: <data:image/svg+xml;charset=utf-8,");
    for line in picture.lines() {
        for byte in line.trim_start().bytes() {
            match byte {
                b'%' | b'#' | b'<' | b'>' | b'&' | b'"' | b'\\' | 0x80.. => {
                    let _ = write!(text, "%{byte:02X}");
                }
                _ => text.push(char::from(byte)),
            }
        }
        text.push(' ');
    }
    text.truncate(text.trim_end().len());
    text + ">\n"
}

#[test]
fn pages_have_the_pictures_of_the_files() {
    let definitions: String = [("product", PRODUCT), ("row", ROW), ("training", TRAINING)]
        .map(|(name, file)| definition(name, file))
        .concat();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/pictures.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(file, &definitions).unwrap();
    }
    let there = std::fs::read_to_string(file).unwrap();
    assert!(there == definitions, "src/guide/pictures.md is not made of the pictures: INSTA_UPDATE=always makes it");
}

#[test]
fn the_plan_of_the_readme_is_drawn_as_it_is_today() {
    let qe = QEinsum::new("bqhd,bkhd,bkhe->bqhe").unwrap();
    let plan = qe.plan(&[&[2, 128, 8, 64], &[2, 256, 8, 64], &[2, 256, 8, 64]]).unwrap();
    let drawn = plan.picture().quantized(&QuantConfig::from_bits(8).unwrap()).to_svg();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/plan_attention.svg");
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(file, &drawn).unwrap();
    }
    let there = std::fs::read_to_string(file).unwrap();
    assert!(there == drawn, "src/guide/plan_attention.svg is another picture: INSTA_UPDATE=always draws it");
}

/// What is written at each place of a picture that has a name.
struct Written(BTreeMap<String, String>);

impl Written {
    fn of(picture: &str) -> Self {
        let document = roxmltree::Document::parse(picture).unwrap();
        let named = document.descendants().filter(|node| node.has_tag_name("text") || node.has_tag_name("tspan"));
        Self(named.filter_map(|node| Some((node.attribute("id")?.to_owned(), node.text()?.to_owned()))).collect())
    }

    fn is(&self, place: &str, text: impl std::fmt::Display) {
        assert_eq!(self.0.get(place).map(String::as_str), Some(text.to_string().as_str()), "at {place}");
    }

    /// Numbers in rows and columns, each written by `write`.
    fn are<T: Copy>(&self, name: &str, numbers: &ArrayD<T>, write: impl Fn(T) -> String) {
        let there = self.0.keys().filter(|place| place.starts_with(&format!("{name}-"))).count();
        assert_eq!(there, numbers.len(), "{name}");
        for (place, &number) in numbers.indexed_iter() {
            self.is(&format!("{name}-{}-{}", place[0], place[1]), write(number));
        }
    }
}

/// The operands of the pictures of a product.
fn operands() -> [ArrayD<f32>; 2] {
    let x = array![[0.5, -2.0, 1.25], [0.1, 0.3, -0.2]].into_dyn();
    [x, array![[0.1, 0.9, -0.4], [0.7, -0.2, 0.3], [0.0, 0.5, 0.8]].into_dyn()]
}

fn forward() -> CallRecord {
    let [x, w] = operands();
    let plan = QEinsum::new("ij,jk->ik").unwrap().plan(&[x.shape(), w.shape()]).unwrap();
    let config = DotGeneralConfig::v4().build().unwrap().into();
    let mut recorded = None;
    plan.run_recorded((&x, &w), &config, None, |_call, record| recorded = Some(record.clone())).unwrap();
    recorded.unwrap()
}

fn integers(side: &SideRecord) -> &ArrayD<i8> {
    let Factor::Int8(integers) = &side.factor else { panic!("{side:?}") };
    integers
}

#[test]
fn the_picture_of_a_product_is_true() {
    let ([x, w], record, written) = (operands(), forward(), Written::of(PRODUCT));
    let short = |number: f32| if number.fract() == 0.0 { format!("{number:.1}") } else { number.to_string() };
    written.are("x", &x, short);
    written.are("w", &w, short);
    written.are("qx", integers(&record.lhs), |integer| integer.to_string());
    written.are("qw", integers(&record.rhs), |integer| integer.to_string());
    let Sums::I32(sums) = &record.sums else { panic!("{:?}", record.sums) };
    written.are("sum", sums, |sum| sum.to_string());
    written.are("y", &record.output, |number| format!("{number:.3}"));
    let [of_rows, of_columns] = [&record.lhs, &record.rhs].map(|side| side.scale.clone().unwrap());
    assert_eq!((of_rows.shape(), of_columns.shape()), (&[2, 1][..], &[1, 3][..]));
    for (row, (scale, shown)) in of_rows.iter().zip([63.75_f32, 425.0]).enumerate() {
        assert!((scale - shown).abs() < 0.005);
        written.is(&format!("row-{row}"), shown);
    }
    for (column, scale) in of_columns.iter().enumerate() {
        written.is(&format!("column-{column}"), format!("{scale:.1}"));
    }
}

#[test]
fn the_picture_of_a_row_is_true() {
    let ([x, _], record, written) = (operands(), forward(), Written::of(ROW));
    let document = roxmltree::Document::parse(ROW).unwrap();
    let centre = |name: String, coordinate| -> f32 {
        let circle = document.descendants().find(|node| node.attribute("id") == Some(&name)).unwrap();
        circle.attribute(coordinate).unwrap().parse().unwrap()
    };
    let scale = record.lhs.scale.as_ref().unwrap()[[0, 0]];
    let inverse = record.lhs.inverse_scale.as_ref().unwrap()[[0, 0]];
    written.is("scale", scale);
    for (at, (&value, &integer)) in x.index_axis(Axis(0), 0).iter().zip(integers(&record.lhs)).enumerate() {
        let (scaled, back) = (value * scale, f32::from(integer) * inverse);
        written.is(&format!("x-{at}"), if value == -2.0 { "-2.0".to_owned() } else { value.to_string() });
        written.is(&format!("scaled-{at}"), scaled);
        written.is(&format!("q-{at}"), integer);
        written.is(&format!("back-{at}"), format!("{back:.4}"));
        assert!((back - value).abs() <= 2.0 / 255.0 + 1e-6, "half a step");
        // 170 units for one of the floats, 80 for one of the integers looked at closely.
        assert!((centre(format!("dot-{at}"), "cx") - (420.0 + 170.0 * value)).abs() < 0.01);
        let moved = centre(format!("integer-{at}"), "cx") - centre(format!("on-grid-{at}"), "cx");
        assert!((moved - 80.0 * (f32::from(integer) - scaled)).abs() < 0.02, "{at}: {moved}");
    }
}

#[test]
fn the_picture_of_training_is_true() {
    let [x, w] = operands();
    let config: QuantConfig = DotGeneralConfig::v4().build().unwrap().into();
    let einsum = QEinsum::new("ij,jk->ik").unwrap().with_config(config);
    let (y, pullback) = einsum.vjp((&x, &w), Key::new(0)).unwrap();
    let mut calls = vec![("fwd", "ij,jk->ik", forward())];
    let gradients = pullback
        .pull_recorded(&y, |_call, side, record| {
            // The lhs of a gradient's call is the incoming gradient.
            let (name, terms, contracted) = match side {
                Side::Lhs => ("dlhs", "ik,jk->ij", (1, 1)),
                Side::Rhs => ("drhs", "ik,ij->jk", (0, 0)),
            };
            assert_eq!(record.dims.contracting(), [contracted], "{name}");
            calls.push((name, terms, record.call));
        })
        .unwrap();
    assert_eq!((gradients[0].shape(), gradients[1].shape(), calls.len()), (x.shape(), w.shape(), 3));

    let written = Written::of(TRAINING);
    for (name, equation, record) in &calls {
        written.is(&format!("{name}-equation"), equation);
        let sums = match &record.sums {
            Sums::I32(_) => "int32",
            Sums::I64(_) => "int64",
            Sums::Float(_) => "f32",
        };
        written.is(&format!("{name}-sums"), sums);
        let terms: Vec<&str> = equation.split("->").next().unwrap().split(',').collect();
        for (side, labels, record) in [("lhs", terms[0], &record.lhs), ("rhs", terms[1], &record.rhs)] {
            let place = format!("{name}-{side}");
            let kind = if matches!(record.factor, Factor::Int8(_)) { "int8" } else { "f32" };
            written.is(&format!("{place}-type"), kind);
            assert_eq!(written.0.contains_key(&format!("{place}-noise")), record.noise.is_some(), "{place}");
            let shared: Option<String> = record.scale.as_ref().map(|scale| {
                labels.chars().zip(scale.shape()).filter(|(_, extent)| **extent == 1).map(|(label, _)| label).collect()
            });
            let over = written.0.get(&format!("{place}-over"));
            assert_eq!(over.cloned(), shared.map(|labels| format!("over {labels}")), "{place}");
        }
    }
}
