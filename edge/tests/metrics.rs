//! The metrics page as scrapers read it.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/openmetrics.rs"]
mod openmetrics;

use openmetrics::read;
use ringdial_edge::counts::Counts;
use ringdial_edge::metrics::{Figure, Labels, Page, Source, labels};
use ringdial_edge::peer::LinkCounts;

struct Steps(Option<u64>);

impl Source for Steps {
    type Reading = u64;

    const FIGURES: &'static [Figure<u64>] = &[
        Figure::counter("steps", "Steps", |steps| *steps),
        Figure::gauge("steps_left", "What is left of ten", |steps| 10_u64.checked_sub(*steps)),
        Figure::info("steps_kind", "What they are", |steps| {
            (*steps > 1).then(|| kind("a \"quoted\"\\ kind"))
        }),
    ];

    fn read(&self) -> Option<u64> {
        self.0
    }
}

fn kind(kind: &str) -> Labels {
    labels([("kind", kind)])
}

#[test]
fn parts_of_the_same_kind_share_their_families() {
    let mut page = Page::new("ringdial");
    for node in ["n1", "n2"] {
        for listener in ["clients", "peers"] {
            page.add(labels([("node", node), ("listener", listener)]), Counts::default());
        }
        page.add(labels([("node", node)]), LinkCounts::default());
    }
    page.add(labels([("listener", "public")]), Counts::default());
    for (part, steps) in [("a", Some(1)), ("b", Some(11)), ("c", None)] {
        page.add(labels([("part", part)]), Steps(steps));
    }
    let text = page.text().unwrap();
    let families = read(&text).unwrap_or_else(|fault| panic!("{fault}\n\n{text}"));
    let series =
        |name: &str| families[name].samples.iter().map(|(s, v)| format!("{s} {v}")).collect::<Vec<_>>();
    assert_eq!(series("ringdial_connections_open").len(), 5);
    assert_eq!(
        series("ringdial_connections_refused")[4],
        "ringdial_connections_refused_total{node=\"n2\",listener=\"peers\"} 0"
    );
    assert_eq!(series("ringdial_peer_bytes_out").len(), 2);
    assert_eq!(series("steps"), ["steps_total{part=\"a\"} 1", "steps_total{part=\"b\"} 11"]);
    assert_eq!(series("steps_left"), ["steps_left{part=\"a\"} 9"], "what is not known is not there");
    assert_eq!(series("steps_kind"), ["steps_kind_info{part=\"b\",kind=\"a \\\"quoted\\\"\\\\ kind\"} 1"]);
}

#[test]
fn a_part_that_has_no_figures_yet_leaves_a_valid_page() {
    let mut page = Page::new("ws-node");
    page.add(labels([("part", "a")]), Steps(None));
    let text = page.text().unwrap();
    assert!(read(&text).unwrap_or_else(|fault| panic!("{fault}\n\n{text}"))["steps"].samples.is_empty());
}

#[test]
fn the_reader_is_strict() {
    let good = "# HELP a A.\n# TYPE a counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 1\n# TYPE b gauge\nb 0.5\n# EOF\n";
    assert_eq!(read(good).map(|families| families.len()), Ok(2));
    for (bad, fault) in [
        ("# TYPE a gauge\na 1\n", "# EOF"),
        ("# TYPE a gauge\na 1\n# EOF\n# EOF\n", "not a number"),
        ("# TYPE a gauge\na{x=\"1\"} 1\n# TYPE a gauge\na{x=\"2\"} 1\n# EOF\n", "a family appears twice"),
        ("# HELP a A.\n# HELP a A.\n# EOF\n", "described twice"),
        ("# TYPE a counter\na 1\n# EOF\n", "not how a sample"),
        ("# TYPE a_total counter\na_total_total 1\n# EOF\n", "not a name"),
        ("# TYPE a gauge\n# TYPE b gauge\na 1\n# EOF\n", "another family"),
        ("# TYPE a gauge\na 1\na 2\n# EOF\n", "a sample appears twice"),
        ("# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n# EOF\n", "bad labels"),
        ("# TYPE a gauge\na{x=\"1} 1\n# EOF\n", "bad labels"),
        ("# TYPE a gauge\na one\n# EOF\n", "not a number"),
    ] {
        let found = read(bad).map(|families| families.len()).unwrap_err();
        assert!(found.contains(fault), "{bad}{found}");
    }
}
