//! What the page's script reads.

use serde::Serialize;

use super::drawing::{Drawing, Kind};
use super::numbers;

#[derive(Serialize)]
struct Document<'d> {
    equation: &'d str,
    nodes: Vec<NodeData<'d>>,
    lines: Vec<LineData<'d>>,
    schedule: ScheduleData,
    #[serde(skip_serializing_if = "Option::is_none")]
    svg: Option<&'d str>,
}

#[derive(Serialize)]
struct NodeData<'d> {
    id: usize,
    name: &'d str,
    made: &'d str,
    line: &'d str,
    labels: &'d [String],
    facts: Vec<[&'d str; 2]>,
}

#[derive(Serialize)]
struct LineData<'d> {
    text: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<usize>,
}

/// By step, in the order in which they run; shares are parts of 100,000.
#[derive(Serialize)]
struct ScheduleData {
    values: Vec<usize>,
    shares: Vec<u32>,
    times: Vec<u32>,
    bytes: Vec<u64>,
    peak: String,
}

pub(super) fn text(drawing: &Drawing) -> String {
    write(drawing, None)
}

pub(super) fn with_svg(drawing: &Drawing, svg: &str) -> String {
    write(drawing, Some(svg))
}

fn write(drawing: &Drawing, svg: Option<&str>) -> String {
    let nodes = drawing.nodes.iter().map(|node| NodeData {
        id: node.id,
        name: node.name(),
        made: &node.made,
        line: &node.line,
        labels: &node.labels,
        facts: node.facts.iter().map(|fact| [fact.what, fact.text.as_str()]).collect(),
    });
    let steps = || drawing.nodes.iter().filter(|node| node.kind != Kind::Operand);
    let bytes = drawing.schedule.bytes.clone().unwrap_or_default();
    let document = Document {
        equation: &drawing.heading.equation,
        nodes: nodes.collect(),
        lines: drawing.lines.iter().map(|line| LineData { text: &line.text, value: line.value }).collect(),
        schedule: ScheduleData {
            values: steps().map(|node| node.id).collect(),
            shares: steps().map(|node| if let Kind::Call(call) = &node.kind { call.share } else { 0 }).collect(),
            times: drawing.schedule.time.clone(),
            peak: numbers::bytes(bytes.iter().copied().max().unwrap_or(0)),
            bytes,
        },
        svg,
    };
    // Nothing in it fails to serialize: its keys are strings.
    serde_json::to_string(&document).unwrap_or_default()
}
