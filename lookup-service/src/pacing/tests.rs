//! What a crowd is told: never more than the pace lets through, and turns that are spread evenly.

use cluster::ring::{MemberState, Policy, RingKey};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn member(id: &str, generation: u64) -> Member {
    Member {
        id: id.to_owned(),
        generation,
        url: format!("ws://{id}.example.com/ws"),
        peer: "10.0.0.1:9".to_owned(),
        weight: 100,
        state: MemberState::Active,
    }
}

fn ring() -> Ring {
    let empty = Ring::genesis("dc", RingKey::new([1; 16]), Policy::Balanced);
    empty.join(member("n1", 7)).unwrap().join(member("n2", 7)).unwrap()
}

/// One lane of a ring, asked at times in milliseconds.
struct Lookups {
    ring: Ring,
    pacing: Pacing,
    pace: Pace,
}

impl Lookups {
    fn at(per_node: u32, services: u64) -> Self {
        Self { ring: ring(), pacing: Pacing::default(), pace: Pace::new(per_node, services) }
    }

    fn ask(&mut self, node: &str, at: Duration) -> Result<(), u32> {
        self.pacing.admit(&self.ring, self.ring.member(node).unwrap(), self.pace, at)
    }

    /// How many of `count` at once are let through; the others' waits.
    fn crowd(&mut self, count: usize, at: Duration) -> (usize, Vec<u32>) {
        let waits: Vec<u32> = (0..count).filter_map(|_| self.ask("n1", at).err()).collect();
        (count - waits.len(), waits)
    }
}

#[test]
fn a_bucket_is_a_tenth_of_a_second_and_refills_at_the_pace() {
    for (per_node, services, burst, each_second) in
        [(5000, 1, 500, 5000), (5000, 4, 125, 1250), (100, 1, 10, 100), (100, 50, 10, 2), (3, 1, 10, 3)]
    {
        let mut lookups = Lookups::at(per_node, services);
        let begun = Duration::from_secs(7);
        assert_eq!(lookups.crowd(2000, begun).0, burst, "{per_node} by {services}");
        let second = (1..=1000).map(|ms| lookups.crowd(9, begun + MS * ms).0).sum::<usize>();
        assert!(second.abs_diff(each_second) <= 1, "{second} a second for {per_node} by {services}");
        assert_eq!(lookups.crowd(2000, begun + MS * 20_000).0, burst, "never more, however long nobody came");
    }
}

#[test]
fn no_pace_divides_by_nothing() {
    for (per_node, services) in [(0, 0), (1, u64::MAX), (u32::MAX, 1), (1, 0)] {
        let mut lookups = Lookups::at(per_node, services);
        let (through, waits) = lookups.crowd(1000, Duration::MAX);
        assert!(through >= 10, "{per_node} by {services}");
        assert!(waits.iter().all(|wait| (100..=150_000).contains(wait)));
    }
}

#[test]
fn who_is_refused_is_told_turns_one_after_the_other_up_to_a_quarter_late() {
    let mut lookups = Lookups::at(5000, 1);
    let (through, waits) = lookups.crowd(10_000, MS * 50);
    assert_eq!(through, 500);
    for (index, wait_ms) in waits.iter().enumerate() {
        let turn_ms = 100.0 + index as f64 / 5.0;
        let late_ms = f64::from(*wait_ms) - turn_ms;
        assert!((0.0..=turn_ms / 4.0 + 1.0).contains(&late_ms), "turn {index} at {turn_ms}: told {wait_ms}");
    }
    let each_tenth: Vec<usize> = (0..20)
        .map(|tenth| waits.iter().filter(|wait| (tenth * 100..(tenth + 1) * 100).contains(*wait)).count())
        .collect();
    // 0.89 of the pace: the logarithm of 1.25, by 0.25.
    assert!(each_tenth.iter().skip(2).all(|count| (435..=457).contains(count)), "{each_tenth:?}");
}

#[test]
fn a_crowd_that_follows_the_advice_is_let_in_evenly_and_asks_seldom() {
    let mut lookups = Lookups::at(5000, 1);
    let mut due = vec![(0, 0); 10_000];
    let (mut asked, mut let_in) = (0, vec![0usize; 40]);
    for ms in 0..4000u32 {
        let (now, later): (Vec<_>, Vec<_>) = due.into_iter().partition(|(at, _)| *at <= ms);
        due = later;
        for (_, times) in now {
            asked += 1;
            match lookups.ask("n1", MS * ms) {
                Ok(()) => let_in[ms as usize / 100] += 1,
                Err(wait) => due.push((ms + wait, times + 1)),
            }
        }
    }
    assert!(due.is_empty());
    assert_eq!(let_in[0], 500, "{let_in:?}");
    assert!(let_in[2..19].iter().all(|count| (400..=500).contains(count)), "{let_in:?}");
    assert!(asked < 20_000, "{asked} requests of 10,000 clients");
}

#[test]
fn nodes_have_lanes_of_their_own_that_go_with_them() {
    let mut lookups = Lookups::at(100, 1);
    let at = Duration::from_secs(1);
    assert_eq!(lookups.crowd(20, at).0, 10);
    assert_eq!(lookups.ask("n2", at), Ok(()));
    lookups.ring = lookups.ring.join(member("n3", 9)).unwrap();
    assert!(lookups.ask("n1", at).is_err(), "another ring alone frees nobody");
    lookups.ring = lookups.ring.leave(&["n1"]);
    assert_eq!(lookups.ask("n2", at), Ok(()));
    assert_eq!(lookups.pacing.lanes.len(), 2);
    lookups.ring = lookups.ring.join(member("n1", 8)).unwrap();
    assert_eq!(lookups.crowd(20, at).0, 10, "a new incarnation begins anew");
}

#[test]
fn a_line_has_an_end() {
    let mut lookups = Lookups::at(1, 1);
    let (_, waits) = lookups.crowd(100_000, Duration::ZERO);
    assert!(waits.iter().all(|wait| *wait <= 150_000));
    assert!(
        waits[99_000..].iter().any(|wait| *wait > 145_000)
            && waits[99_000..].iter().any(|wait| *wait < 125_000)
    );
}
