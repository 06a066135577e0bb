//! What every [`Backend`] must do, as tests.
//!
//! A backend's own tests name a function that prepares a [`Bench`], and [`contract_tests!`](crate::contract_tests) makes one test of each
//! case of it:
//!
//! ```ignore
//! async fn bench() -> Bench { Bench::new(my_backend().await, Features::ALL).await }
//! moongate_cache::contract_tests!(bench);
//! ```
//!
//! Cases work in a folder of their own, so that they can share one store and run at once.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod bench;
pub mod changing;
pub mod lists;
pub mod names;
pub mod reads;
pub mod writes;

pub use bench::{Bench, Features};

/// One `#[tokio::test]` of each case of the contract, each on a bench of its own, which the given `async fn() -> Bench` prepares.
#[macro_export]
macro_rules! contract_tests {
    ($bench:ident) => {
        $crate::contract_tests!(@area $bench, reads: a_file_is_read_as_it_was_written, ranges_are_cut_to_the_length,
            one_open_file_serves_many_readers, what_is_no_file_is_not_opened, versions_agree_wherever_they_are_seen);
        $crate::contract_tests!(@area $bench, writes: a_file_is_not_replaced_unasked, a_file_is_replaced_if_asked, parents_are_made_if_asked,
            a_folder_is_not_made_a_file, what_is_aborted_is_not_there, small_pieces_make_a_large_file, append_adds_to_the_end,
            truncate_cuts, concat_joins, what_is_synced_stays);
        $crate::contract_tests!(@area $bench, lists: a_listing_is_in_the_order_of_bytes, a_listing_is_had_in_pages_of_any_size,
            a_file_is_listed_as_itself, what_is_not_there_cannot_be_listed, a_summary_counts_what_is_below);
        $crate::contract_tests!(@area $bench, names: odd_names_are_kept, folders_are_made_with_their_parents, a_file_is_no_folder,
            rename_moves, rename_into_a_folder, rename_does_not_replace_unasked, rename_replaces_if_asked,
            rename_refuses_what_makes_no_sense, delete_takes_what_is_meant, attributes_change);
        $crate::contract_tests!(@area $bench, changing: a_file_overwritten_is_not_mixed, a_file_deleted_is_not_mixed,
            a_file_replaced_by_rename_is_not_mixed, a_file_truncated_is_not_mixed, a_file_appended_to_is_not_mixed);
    };
    (@area $bench:ident, $area:ident: $($case:ident),+ $(,)?) => {
        mod $area {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let bench = super::$bench().await;
                    $crate::backend::contract::$area::$case(&bench).await;
                }
            )+
        }
    };
}
