//! Of all ways to give each call one of a few choices, those that no other beats.
//!
//! Calls are taken one after the other; of what has been put together so far, only that is kept which takes less time, or
//! fewer bits, or makes less noise than all else.

/// The most ways that are kept: beyond, those closest in noise to their neighbours go.
const MOST: usize = 2048;

/// What a call takes if it is given one of its choices.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Choice {
    /// Predicted.
    pub(super) seconds: f64,
    /// Bits of an element, the fewer the better where time is the same.
    pub(super) bits: u32,
    /// Of the result, as the sum of squares, were this the only call that makes any.
    pub(super) noise: f64,
}

/// A choice for each call, by its place, and what they take together.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Way {
    pub(super) choices: Vec<usize>,
    pub(super) total: Choice,
}

/// The ways with a noise of at most `most`, the fastest first, of those equally fast that with the fewest bits.
pub(super) fn front(calls: &[Vec<Choice>], most: f64) -> Vec<Way> {
    let nothing = Choice { seconds: 0.0, bits: 0, noise: 0.0 };
    let mut ways = vec![Way { choices: Vec::new(), total: nothing }];
    for choices in calls {
        let mut longer = Vec::with_capacity(ways.len() * choices.len());
        for way in &ways {
            for (place, choice) in choices.iter().enumerate() {
                let total = Choice {
                    seconds: way.total.seconds + choice.seconds,
                    bits: way.total.bits.saturating_add(choice.bits),
                    noise: way.total.noise + choice.noise,
                };
                if total.noise <= most {
                    let choices = way.choices.iter().copied().chain([place]).collect();
                    longer.push(Way { choices, total });
                }
            }
        }
        ways = unbeaten(longer);
    }
    ways
}

/// Those that no other is at least as good as in everything, in order.
fn unbeaten(mut ways: Vec<Way>) -> Vec<Way> {
    ways.sort_by(|a, b| {
        let (a, b) = (&a.total, &b.total);
        a.seconds.total_cmp(&b.seconds).then(a.bits.cmp(&b.bits)).then(a.noise.total_cmp(&b.noise))
    });
    let mut kept: Vec<Way> = Vec::new();
    for way in ways {
        // Those kept are as fast.
        let beaten = |other: &Way| other.total.bits <= way.total.bits && other.total.noise <= way.total.noise;
        if !kept.iter().any(beaten) {
            kept.push(way);
        }
    }
    if kept.len() > MOST {
        let step = kept.len().div_ceil(MOST);
        // The last is the most exact: it stays, so that there always is a way.
        let last = kept.len() - 1;
        let mut place = 0;
        kept.retain(|_| {
            place += 1;
            (place - 1) % step == 0 || place - 1 == last
        });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(seconds: f64, bits: u32, noise: f64) -> Choice {
        Choice { seconds, bits, noise }
    }

    #[test]
    fn the_fastest_way_within_the_noise_comes_first() {
        let calls = [
            vec![choice(1.0, 4, 9.0), choice(1.0, 8, 1.0), choice(3.0, 32, 0.0)],
            vec![choice(2.0, 4, 4.0), choice(2.0, 8, 0.5), choice(2.5, 32, 0.0)],
        ];
        let cases =
            [(20.0, [0, 0]), (9.0, [1, 0]), (5.0, [1, 0]), (1.5, [1, 1]), (1.2, [1, 2]), (0.6, [2, 1]), (0.0, [2, 2])];
        for (most, expected) in cases {
            assert_eq!(front(&calls, most)[0].choices, expected, "{most}");
        }
    }

    #[test]
    fn it_is_the_best_of_all_ways() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24)
        };
        for _ in 0..200 {
            let calls: Vec<Vec<Choice>> = (0..5)
                .map(|_| (0..3).map(|place| choice((random() * 4.0).round(), 4 << place, random())).collect())
                .collect();
            let most = 5.0 * random();
            let best = (0..243_usize)
                .map(|number| (0..5_u32).map(|call| number / 3_usize.pow(call) % 3).collect::<Vec<_>>())
                .map(|ways| {
                    let chosen = ways.iter().zip(&calls).map(|(&place, call)| call[place]);
                    chosen.fold((0.0, 0, 0.0), |(time, bits, noise), each| {
                        (time + each.seconds, bits + each.bits, noise + each.noise)
                    })
                })
                .filter(|(_, _, noise)| *noise <= most)
                .map(|(time, bits, _)| (time, bits))
                .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let found = front(&calls, most);
            assert_eq!(found.first().map(|way| (way.total.seconds, way.total.bits)), best);
        }
    }
}
