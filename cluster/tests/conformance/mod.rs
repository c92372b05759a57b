//! The conformance suite of membership stores: what every implementation must do, alone and under keepers. A test binary
//! gives it a [`World`] and lists nothing itself: [`conformance!`] makes a test of every scenario.

// Each test binary compiles the suite for itself and uses what it needs; a failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod contract;
pub mod guards;
pub mod keepers;
pub mod losses;
pub mod outages;
pub mod seeming;
pub mod support;
pub mod suspicions;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdial_cluster::membership::{MembershipStore, Stored};

/// A store to test, with the hands of those who break it.
#[async_trait]
pub trait World: Send + Sync {
    /// Length of the leases.
    fn lease(&self) -> Duration;
    /// A handle as a process of its own would have.
    fn store(&self, service: &str) -> Arc<dyn MembershipStore>;
    /// Everything is forgotten.
    async fn flush(&self);
    /// Somebody writes what is stored for a service.
    async fn overwrite(&self, service: &str, stored: Stored);
    /// From now on nothing is answered, or is again.
    async fn set_answering(&self, answering: bool);
}

/// Makes a test of every scenario: `run` takes an async function of a `&dyn World` and runs it to its end.
#[macro_export]
macro_rules! conformance {
    ($run:path) => {
        $crate::conformance!(@tests $run, contract:
            an_empty_store_says_so
            a_swap_compares_the_whole_record
            a_lease_is_renewed_by_its_generation_only
            a_lease_lapses_on_the_stores_clock
            a_grant_may_spare_a_running_lease
            a_reset_leaves_no_other_leases
            generations_grow_even_over_a_flush
            services_are_apart
            what_is_no_record_can_be_seen_and_replaced
            a_swap_is_noticed_by_others
            the_turn_is_one_callers_at_a_time
        );
        $crate::conformance!(@tests $run, guards:
            silence_extends_all_leases
            lapsed_members_are_told_to_one_caller_at_a_time
            a_stale_view_reaps_nobody
            a_reap_is_refused_unless_all_are_lapsed
            half_of_the_members_stay_for_two_leases
            leases_follow_the_members
        );
        $crate::conformance!(@tests $run, suspicions:
            a_suspicion_ends_with_a_renewal
            what_is_said_of_nobody_is_ignored
            a_saying_is_taken_back_by_who_said_it
            a_saying_is_taken_back_without_a_lease_too
            a_suspicion_ends_with_its_lease
            a_majority_of_the_other_members_caps_the_lease
            a_capped_lease_lasts_three_tenths_of_a_lease
            a_renewal_in_time_lifts_the_cap
            a_lease_that_a_stall_extended_is_capped_again
            alone_nobody_is_capped
            sayers_whose_leases_lapsed_do_not_count
            suspicions_are_noticed_when_they_begin_and_end
            observers_count_for_two_leases
            stalls_are_told
        );
        $crate::conformance!(@tests $run, seeming:
            a_saying_counts_at_once_and_without_a_store
            everybody_hears_who_seems_dead
            a_living_suspect_proves_alive
            a_member_that_most_suspect_is_taken_out_soon
            observers_alone_take_nobody_out
            what_was_said_without_a_store_is_told_when_it_is_back
            what_others_said_is_believed_while_the_store_can_refute_it
            a_flush_does_not_clear_a_dead_members_name
            observers_know_how_many_they_are
        );
        $crate::conformance!(@tests $run, keepers:
            a_member_registers_renews_and_leaves
            a_start_that_is_ended_takes_its_registration_back
            racing_registrants_all_get_in
            anybody_reaps_a_crashed_member
            a_draining_member_gives_up_slots_and_stays
            who_waits_for_the_turn_to_drain_keeps_its_lease
            anybody_may_drain_a_member
            a_living_id_elsewhere_is_in_use
            the_same_addresses_replace
            a_paused_member_registers_again
            a_crashed_member_that_is_back_in_time_keeps_its_slots
            a_lost_notice_is_made_up_by_the_poll
            peers_pass_views_on
            an_offer_that_overtakes_the_store_is_no_loss
            a_registration_whose_answer_was_lost_is_not_made_twice
        );
        $crate::conformance!(@tests $run, losses:
            a_flush_loses_nobody
            a_stale_record_is_put_right
            garbage_is_ignored_counted_and_put_right
            two_rings_of_one_version_are_noticed
            a_new_process_waits_for_those_who_know
            a_foreign_ring_is_left_alone
            debris_does_not_stop_a_first_member
        );
        $crate::conformance!(@tests $run, outages:
            a_store_that_stalls_loses_nobody
            who_died_in_a_stall_is_taken_out_after_it
            who_was_capped_before_a_stall_is_capped_again_after_it
            flapping_says_nothing_new
            a_node_that_comes_and_goes_changes_the_ring_each_time_and_no_more
            a_start_without_a_store_fails_in_the_end
        );
    };
    (@tests $run:path, $group:ident: $($name:ident)*) => {
        mod $group {
            $(
                #[test]
                fn $name() {
                    $run(|world| Box::pin($crate::conformance::$group::$name(world)));
                }
            )*
        }
    };
}
