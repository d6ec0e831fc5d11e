//! Families of paths are as good as they say: all trees are listed here, and their costs computed, by this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use qeinsum::path::{Certificate, Family, FamilyOptions, evaluate};
use qeinsum::{ContractionGraph, ErrorKind, QEinsum, Sizes};

use crate::snapshot;

type Ranges = BTreeMap<String, RangeInclusive<usize>>;

/// `a=1..9 b=2..3`.
fn ranges(text: &str) -> Ranges {
    let range = |pair: &str| {
        let (name, range) = pair.split_once('=').unwrap();
        let (low, high) = range.split_once("..").unwrap();
        (name.to_owned(), low.parse().unwrap()..=high.parse().unwrap())
    };
    text.split_whitespace().map(range).collect()
}

/// The same range for every label.
fn all(equation: &str, range: RangeInclusive<usize>) -> Ranges {
    equation.chars().filter(char::is_ascii_lowercase).map(|label| (label.to_string(), range.clone())).collect()
}

fn family(equation: &str, ranges: &Ranges, options: &FamilyOptions) -> Family {
    QEinsum::new(equation).unwrap().family(ranges, options).unwrap()
}

/// A generator of this file's own.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// An equation of up to seven labels, none of which one operand has alone.
    fn equation(&mut self, operands: usize) -> String {
        let mut terms = vec![BTreeSet::new(); operands];
        let mut output = String::new();
        for label in ('a'..='z').take(3 + self.below(5)) {
            for _ in 0..2 + self.below(2) {
                terms[self.below(operands)].insert(label);
            }
            if terms.iter().filter(|term| term.contains(&label)).count() < 2 || self.below(3) == 0 {
                output.push(label);
            }
        }
        let terms: Vec<String> = terms.iter().map(|term| term.iter().collect()).collect();
        format!("{}->{output}", terms.join(","))
    }
}

/// The least multiplications of all trees: all pairs of operands, then all pairs of what is left, and so on.
fn least(list: &[BTreeSet<char>], output: &str, sizes: &BTreeMap<String, usize>) -> u128 {
    let mut best = if list.len() == 1 { 0 } else { u128::MAX };
    for later in 0..list.len() {
        for earlier in 0..later {
            let mut rest = list.to_vec();
            let (b, a) = (rest.remove(later), rest.remove(earlier));
            let both: BTreeSet<char> = a.union(&b).copied().collect();
            let cost: u128 = both.iter().map(|label| sizes[&label.to_string()] as u128).product();
            let is_needed = |label: &char| output.contains(*label) || rest.iter().any(|other| other.contains(label));
            rest.push(both.into_iter().filter(is_needed).collect());
            best = best.min(cost + least(&rest, output, sizes));
        }
    }
    best
}

/// The costs of all members at some sizes, the one that is chosen, and the least of all trees.
fn costs(family: &Family, equation: &str, sizes: &BTreeMap<String, usize>) -> (Vec<u128>, usize, u128) {
    let bound = Sizes::from_names(family.equation(), sizes).unwrap();
    let graph = ContractionGraph::new(family.equation(), &bound);
    let cost = |path| evaluate(&graph, path).unwrap().multiplications.to_u128().unwrap();
    let costs = family.members().iter().map(|member| cost(member.path())).collect();
    let (terms, output) = equation.split_once("->").unwrap();
    let terms: Vec<BTreeSet<char>> = terms.split(',').map(|term| term.chars().collect()).collect();
    (costs, family.choose(&bound).unwrap(), least(&terms, output, sizes))
}

/// All ways to take a point of each label.
fn points(ranges: &Ranges, of: impl Fn(&RangeInclusive<usize>) -> Vec<usize>) -> Vec<BTreeMap<String, usize>> {
    ranges.iter().fold(vec![BTreeMap::new()], |points, (name, range)| {
        let with = |point: &BTreeMap<String, usize>, size| {
            point.clone().into_iter().chain([(name.clone(), size)]).collect::<BTreeMap<_, _>>()
        };
        points
            .iter()
            .flat_map(|point| of(range).into_iter().map(|size| with(point, size)).collect::<Vec<_>>())
            .collect()
    })
}

#[test]
fn at_every_corner_a_member_is_within_the_tolerance_and_the_cheapest_is_chosen() {
    let mut numbers = Numbers(1);
    for round in 0..24 {
        let equation = numbers.equation(3 + round % 2);
        let ranges = all(&equation, 1 + numbers.below(3)..=20 + numbers.below(500));
        let tolerance = [0.0, 0.1, 0.5][round % 3];
        let options = FamilyOptions::new().tolerance(tolerance).grid(600).samples(100);
        let family = family(&equation, &ranges, &options);
        for sizes in points(&ranges, |range| vec![*range.start(), *range.end()]) {
            let (costs, chosen, least) = costs(&family, &equation, &sizes);
            assert_eq!(Some(&costs[chosen]), costs.iter().min(), "{equation} {sizes:?}");
            let excess = costs[chosen] as f64 / least as f64 - 1.0;
            assert!(excess <= tolerance + 1e-9, "{equation} {sizes:?}: {excess}");
        }
    }
}

#[test]
fn sizes_that_are_all_on_the_grid_are_all_within_the_tolerance() {
    // So few sizes that the grid has every one of them.
    for (equation, tolerance) in [("ab,bc,cd,de->ae", 0.1), ("ab,bc,ca,ad->d", 0.02), ("a,ab,bc,c->", 0.0)] {
        let ranges = all(equation, 2..=5);
        let options = FamilyOptions::new().tolerance(tolerance).grid(1024).samples(200);
        let family = family(equation, &ranges, &options);
        let points = points(&ranges, |range| range.clone().collect());
        assert_eq!((family.report().built_from.grid.sizes, family.report().built_from.added), (points.len(), 0));
        assert_eq!((family.report().fresh.within, family.report().fresh.sizes), (200, 200));
        let mut worst: f64 = 0.0;
        let mut wins = vec![0; family.members().len()];
        for sizes in points {
            let (costs, chosen, least) = costs(&family, equation, &sizes);
            assert_eq!(Some(&costs[chosen]), costs.iter().min());
            assert!(costs[..chosen].iter().all(|cost| *cost > costs[chosen]), "the first of equal ones is chosen");
            worst = worst.max(costs[chosen] as f64 / least as f64 - 1.0);
            wins[chosen] += 1;
        }
        assert!(worst <= tolerance + 1e-9, "{equation}: {worst}");
        assert!((family.report().built_from.worst - worst).abs() < 1e-9, "{equation}");
        let counted: Vec<usize> = family.members().iter().map(qeinsum::path::Member::wins).collect();
        assert_eq!(counted, wins, "{equation}");
    }
}

#[test]
fn five_operands_are_measured_as_they_are() {
    let equation = "ab,bc,cd,de,ef->af";
    let family = family(equation, &all(equation, 2..=300), &FamilyOptions::new().grid(1000).samples(1000));
    let mut numbers = Numbers(5);
    let within = (0..60).filter(|_| {
        let sizes = family.ranges().into_keys().map(|name| (name, 2 + numbers.below(299))).collect();
        let (costs, chosen, least) = costs(&family, equation, &sizes);
        costs[chosen] as f64 <= least as f64 * 1.1
    });
    assert!(within.count() >= 58);
    // What the report calls the worst is that bad.
    let worst = &family.report().worst;
    let sizes = family.ranges().into_keys().zip(worst.sizes.iter().copied()).collect();
    let (costs, chosen, least) = costs(&family, equation, &sizes);
    assert!((costs[chosen] as f64 / least as f64 - 1.0 - worst.excess).abs() < 1e-9);
    assert!(worst.excess >= family.report().fresh.worst);
}

#[test]
fn fewer_members_are_the_best_of_so_many() {
    let equation = "ab,bc,cd,de->ae";
    let options = FamilyOptions::new().samples(2000);
    let mut within = Vec::new();
    for most in 1..=6 {
        let family = family(equation, &all(equation, 2..=1000), &options.most_members(most));
        assert_eq!((family.members().len(), family.report().enough_members), (most.min(5), 5));
        within.push(family.report().fresh.within);
    }
    assert!(within.is_sorted() && within[3] > within[0] && within[5] == 2000, "{within:?}");
}

#[test]
fn the_same_request_makes_the_same_family() {
    let equation = "ab,bc,cd,de->ae";
    let options = FamilyOptions::new().samples(500);
    let first = family(equation, &all(equation, 2..=1000), &options);
    assert_eq!(first, family(equation, &all(equation, 2..=1000), &options));
    assert_eq!(Family::from_json(&first.to_json()).unwrap(), first);
    let other = family(equation, &all(equation, 2..=1000), &options.seed(1));
    assert_ne!(first.report(), other.report());
}

#[test]
fn diagonals_lone_labels_and_names_are_taken() {
    let family =
        family("iijx,jk,kl->il", &ranges("i=2..90 j=2..90 k=2..90 l=2..90 x=1..1000000"), &FamilyOptions::new());
    assert!(family.members().iter().all(|member| !member.polynomial().contains('x')));
    let qe = QEinsum::named("row mid, mid end, end -> row").unwrap();
    let family = qe.family(&ranges("row=2..64 mid=2..64 end=2..64"), &FamilyOptions::new()).unwrap();
    assert_eq!(family.members().len(), 1);
    assert_eq!(Family::from_json(&family.to_json()).unwrap(), family);
    let wide = QEinsum::new("ab,bc->ac").unwrap();
    let largest = wide.family(&all("abc", 1..=usize::MAX), &FamilyOptions::new().samples(10).grid(10)).unwrap();
    assert_eq!(largest.members().len(), 1);
}

#[test]
fn plans_take_the_member_and_do_not_call_it_proved() {
    let qe = QEinsum::new("ab,bc,cd->ad").unwrap();
    let family = qe.family(&all("abcd", 2..=1000), &FamilyOptions::new()).unwrap();
    let with = qe.clone().with_family(family.clone());
    for shapes in [[[500, 3], [3, 800], [800, 7]], [[3, 500], [500, 8], [8, 900]]] {
        let shapes: Vec<&[usize]> = shapes.iter().map(<[usize; 2]>::as_slice).collect();
        let plan = with.plan(&shapes).unwrap();
        let member = family.choose(&qe.bind(&shapes).unwrap().1).unwrap();
        assert_eq!(plan.path(), family.members()[member].path());
        assert_eq!(plan.certificate(), &Certificate::Family);
        assert!(plan.to_string().ends_with("; path chosen from a family, not searched\n"), "{plan}");
    }
    // Outside of the ranges, where a label broadcasts, and with a path that is given, it is not asked.
    for shapes in [[[1, 3], [3, 8], [8, 7]], [[500, 3], [3, 800], [800, 1001]], [[5, 1], [3, 8], [8, 7]]] {
        let shapes: Vec<&[usize]> = shapes.iter().map(<[usize; 2]>::as_slice).collect();
        assert_eq!(with.plan(&shapes).unwrap().certificate(), &Certificate::Optimal);
    }
    let given = with.with_path("(0,1) (0,1)".parse().unwrap());
    assert_eq!(given.plan(&[&[500, 3], &[3, 800], &[800, 7]]).unwrap().certificate(), &Certificate::Given);
    // A family of another equation is not asked either.
    let other = QEinsum::new("ab,bc,cd->da").unwrap().with_family(family);
    assert_eq!(other.plan(&[&[500, 3], &[3, 800], &[800, 7]]).unwrap().certificate(), &Certificate::Optimal);
}

#[test]
fn what_cannot_be_a_family_is_refused() {
    let options = FamilyOptions::new();
    let eight = "a,b,c,d,e,f,g,h->";
    let mut texts = String::new();
    for (equation, ranges, options, kind) in [
        (eight, all(eight, 1..=2), options, ErrorKind::Limit),
        ("ij,jk->ik", ranges("i=1..2 j=1..2"), options, ErrorKind::Shape),
        ("ij,jk->ik", ranges("i=1..2 j=1..2 k=1..2 z=1..2"), options, ErrorKind::Shape),
        ("ij,jk->ik", ranges("i=1..2 j=1..2 k=5..2"), options, ErrorKind::Shape),
        ("ij,jk->ik", ranges("i=1..2 j=1..2 k=0..2"), options, ErrorKind::Shape),
        ("ij,jk->ik", all("ijk", 1..=2), options.tolerance(-0.1), ErrorKind::Path),
        ("ij,jk->ik", all("ijk", 1..=2), options.tolerance(f64::NAN), ErrorKind::Path),
        ("ij,jk->ik", all("ijk", 1..=2), options.grid(0), ErrorKind::Path),
        ("ij,jk->ik", all("ijk", 1..=2), options.most_members(0), ErrorKind::Path),
        ("ij,jk->ik", all("ijk", 1..=2), options.samples(1 << 30), ErrorKind::Path),
        ("abcdefgh,ijklmnop->", all("abcdefghijklmnop", 1..=usize::MAX), options, ErrorKind::Limit),
    ] {
        let error = QEinsum::new(equation).unwrap().family(&ranges, &options).unwrap_err();
        assert_eq!(error.kind(), &kind, "{error}");
        let _ = writeln!(texts, "{error}\n");
    }
    let family = family("ab,bc,cd->ad", &all("abcd", 2..=9), &options.samples(10)).to_json();
    for (old, new) in [
        ("\"format\": 1", "\"format\": 2"),
        ("\"wins\"", "\"loses\""),
        ("a·b·c", "a·b"),
        ("\"ab,bc,cd->ad\"", "\"ab,bc,cd->da\""),
        ("\"tolerance\": 0.1", "\"tolerance\": 11.0"),
    ] {
        let error = Family::from_json(&family.replacen(old, new, 1)).unwrap_err();
        let first = error.message().lines().next().unwrap();
        let _ = writeln!(texts, "{}\n", first.split(" at line ").next().unwrap());
    }
    snapshot::assert("errors__families", "families that cannot be", &texts);
}
