//! What every stage owes, whatever it does.

use dcmshard::column::Column;
use dcmshard::pipeline::Pipeline;
use dcmshard::reason::{Class, Reason};
use dcmshard::recipe::{Recipe, SHIPPED};
use dcmshard::slice::Outcome;
use dcmshard::stage::Scratch;

use crate::made::{Ct, key};

fn pipelines() -> impl Iterator<Item = (&'static str, Pipeline)> {
    SHIPPED.iter().map(|shipped| {
        let recipe = Recipe::shipped(shipped.name).expect("it ships");
        (shipped.name, Pipeline::new(&recipe, &key()))
    })
}

fn slices() -> Vec<Ct> {
    vec![
        Ct::head(128, 50.0, 36.0, -20.0),
        Ct::head(96, 30.0, 30.0, 0.0),
        Ct::empty(64, 64),
        Ct::empty(33, 70),
        Ct { slope: "0.5", intercept: "-3.25", ..Ct::head(128, 50.0, 36.0, 3.0) },
    ]
}

#[test]
fn columns_have_one_owner_each() {
    for (name, pipeline) in pipelines() {
        let mut names: Vec<&str> = pipeline.columns().iter().map(|column| column.name).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "{name}");
    }
}

#[test]
fn a_step_fills_only_the_columns_it_declares_with_values_of_their_kind() {
    for (name, pipeline) in pipelines() {
        for ct in slices() {
            let scratch = &mut Scratch::default();
            let mut outcome = pipeline.decode(&ct.slice_ref(), scratch);
            let mut declared: Vec<&Column> = pipeline.step_columns(0).to_vec();
            for step in 1..pipeline.steps() {
                hold_facts(name, &declared, &outcome);
                outcome = pipeline.step(step, outcome, scratch);
                declared.extend(pipeline.step_columns(step));
            }
            hold_facts(name, &declared, &outcome);
        }
    }
}

fn hold_facts(recipe: &str, declared: &[&Column], outcome: &Outcome) {
    let Ok(slice) = outcome else { return };
    for (name, value) in slice.facts.iter() {
        let column = declared.iter().find(|column| column.name == name);
        let column = column.unwrap_or_else(|| panic!("{recipe}: {name} is not declared by a step so far"));
        assert_eq!(value.kind(), column.kind, "{recipe}: {name}");
    }
}

#[test]
fn required_columns_are_never_null() {
    for (name, pipeline) in pipelines() {
        for ct in slices() {
            let Ok(slice) = pipeline.process(&ct.slice_ref(), &mut Scratch::default()) else { continue };
            for column in pipeline.columns().iter().filter(|column| !column.nullable) {
                assert!(slice.facts.get(column.name).is_some(), "{name}: {} is null", column.name);
            }
        }
    }
}

#[test]
fn the_result_depends_on_the_slice_alone() {
    for (name, pipeline) in pipelines() {
        let used = &mut Scratch::default();
        for ct in slices() {
            // One scratch has seen every slice before, the other none.
            let first = pipeline.process(&ct.slice_ref(), used);
            let second = pipeline.process(&ct.slice_ref(), &mut Scratch::default());
            match (first, second) {
                (Ok(first), Ok(second)) => {
                    assert_eq!(first.pixels, second.pixels, "{name}");
                    assert_eq!(first.facts, second.facts, "{name}");
                    assert_eq!(first.placement, second.placement, "{name}");
                }
                (Err(first), Err(second)) => assert_eq!(first.fault, second.fault, "{name}"),
                _ => panic!("{name}: a row once, a reject once"),
            }
        }
    }
}

#[test]
fn a_slice_without_a_head_is_a_row_of_background_except_in_seed() {
    for (name, pipeline) in pipelines() {
        let outcome = pipeline.process(&Ct::empty(64, 64).slice_ref(), &mut Scratch::default());
        match (name, outcome) {
            ("seed", Err(reject)) => assert_eq!(reject.fault.reason, Reason::NoContour),
            ("seed", Ok(_)) => panic!("the Python recipe raises on an empty slice"),
            (_, Ok(slice)) => assert_eq!(slice.facts.get("label_count"), Some(&0.into()), "{name}"),
            (_, Err(reject)) => panic!("{name}: {}", reject.fault),
        }
    }
}

#[test]
fn rescale_is_never_guessed() {
    let faulty = [("", "0"), ("0", "0"), ("abc", "0"), ("1", "nan"), ("1e400", "0"), ("1", "")];
    for (name, pipeline) in pipelines() {
        for (slope, intercept) in faulty {
            let ct = Ct { slope, intercept, ..Ct::head(64, 20.0, 15.0, 0.0) };
            let outcome = pipeline.process(&ct.slice_ref(), &mut Scratch::default());
            let reject = outcome.err().unwrap_or_else(|| panic!("{name}: slope {slope:?} intercept {intercept:?}"));
            assert_eq!((reject.fault.reason, reject.stage), (Reason::Rescale, "hu_window"), "{name}");
        }
    }
}

#[test]
fn every_reason_has_a_class_a_meaning_and_a_remedy() {
    for reason in Reason::all() {
        assert_ne!(reason.class(), Class::Written);
        assert!(reason.meaning().ends_with('.') && reason.remedy().ends_with('.'), "{reason}");
    }
}
