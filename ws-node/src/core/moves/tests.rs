//! How many are asked to move in a second.

use super::*;

/// How many are asked from one tick to another if there are always some to ask.
fn asked(moves: &mut Moves, rate: u64, ticks: std::ops::Range<u64>) -> u64 {
    let mut asked = 0;
    for tick in ticks {
        while moves.share(rate, tick).0 > 0 {
            moves.spend();
            asked += 1;
        }
    }
    asked
}

#[test]
fn each_second_has_as_many_as_the_rate_says() {
    for rate in [1, 9, 10, 15, 2_000, 1_000_000] {
        let mut moves = Moves::default();
        asked(&mut moves, rate, 95..100);
        for second in 10..20 {
            assert_eq!(asked(&mut moves, rate, second * 10..second * 10 + 10), rate, "second {second}");
        }
    }
}

#[test]
fn what_was_not_used_is_no_burst_later_and_a_late_tick_costs_nothing_of_a_slow_rate() {
    for (rate, most) in [(1, 1), (15, 2), (2_000, 200)] {
        assert_eq!(asked(&mut Moves::default(), rate, 1_000..1_001), most, "{rate} a second");
    }
    let mut moves = Moves::default();
    asked(&mut moves, 1, 1_000..1_001);
    let each_other = (1_002..1_041).step_by(2);
    assert_eq!(each_other.map(|tick| asked(&mut moves, 1, tick..tick + 1)).sum::<u64>(), 4);
}
