//! The batching scorer answers every row exactly once, whatever the models do.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use domain::{Digest, Micros, Ppm, ScoreSource};
use models::batch::{BatchScorer, Options, Scored, Scorer};
use models::fallback;
use models::features::FeatureVector;
use models::scorer::{Fault, Score};

/// Long enough for any machine; a row that is never answered fails the test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Options under which nothing is late, for tests that are not about lateness.
fn patient() -> Options {
    Options { deadline: 3 * PATIENCE, ..Options::default() }
}

fn row(number: usize) -> FeatureVector {
    let mut row = [1.0; 22];
    row[3] = number as f32;
    FeatureVector(row)
}

/// Answers a row with its own fourth feature, so that a mix-up would show.
struct Echo;

impl Scorer for Echo {
    fn score(&mut self, rows: &[FeatureVector]) -> Vec<Result<Score, Fault>> {
        rows.iter().map(|row| Ok((Micros(row.0[3] as i64), Ppm(7)))).collect()
    }
}

/// Blocks each run until it is told to go on.
struct Gate(Receiver<()>);

impl Scorer for Gate {
    fn score(&mut self, rows: &[FeatureVector]) -> Vec<Result<Score, Fault>> {
        _ = self.0.recv();
        Echo.score(rows)
    }
}

struct Panics;

impl Scorer for Panics {
    fn score(&mut self, _: &[FeatureVector]) -> Vec<Result<Score, Fault>> {
        panic!("a scorer that panics")
    }
}

struct Forgets;

impl Scorer for Forgets {
    fn score(&mut self, _: &[FeatureVector]) -> Vec<Result<Score, Fault>> {
        Vec::new()
    }
}

/// Fails and says why.
struct Explains;

impl Scorer for Explains {
    fn score(&mut self, rows: &[FeatureVector]) -> Vec<Result<Score, Fault>> {
        vec![Err(Fault::Failed); rows.len()]
    }

    fn failure(&self) -> Option<&str> {
        Some("out of memory")
    }
}

type Answers = Receiver<(usize, Scored)>;

fn start(scorer: impl Scorer, options: Options) -> (BatchScorer, Sender<(usize, Scored)>, Answers) {
    let (sender, answers) = channel();
    let scorer = BatchScorer::start_with(scorer, Digest::default(), options).expect("threads start");
    (scorer, sender, answers)
}

fn submit(scorer: &BatchScorer, number: usize, sender: &Sender<(usize, Scored)>) {
    let sender = sender.clone();
    scorer.submit(row(number), Box::new(move |scored| _ = sender.send((number, scored))));
}

fn fell_back(scored: &Scored, number: usize, fault: Fault) {
    let (ltv, churn) = fallback::score(&row(number));
    assert_eq!(scored.fault, Some(fault));
    assert_eq!((scored.scores.ltv_91d, scored.scores.churn_60d), (ltv, churn));
    assert_eq!(scored.scores.source, ScoreSource::Fallback);
    assert_eq!(scored.scores.features, row(number).digest());
}

#[test]
fn every_row_gets_its_own_answer() {
    let (scorer, sender, answers) = start(Echo, patient());
    let total = 5_000;
    for number in 0..total {
        submit(&scorer, number, &sender);
    }
    drop(sender);
    let mut seen = vec![false; total];
    for _ in 0..total {
        let (number, scored) = answers.recv_timeout(PATIENCE).expect("an answer");
        assert!(!std::mem::replace(&mut seen[number], true), "row {number} was answered twice");
        assert_eq!(scored.fault, None);
        assert_eq!(scored.scores.ltv_91d, Micros(number as i64));
        assert_eq!(scored.scores.source, ScoreSource::Model);
        assert_eq!(scored.scores.features, row(number).digest());
    }
    let counts = scorer.counts();
    assert_eq!((counts.by_model, counts.rows_run), (total as u64, total as u64));
    assert!(counts.runs < total as u64, "{counts:?}: no run took more than one row");
}

#[test]
fn a_model_that_never_comes_back_blocks_nobody() {
    let (go, gate) = channel();
    let options = Options { deadline: Duration::from_millis(5), ..Options::default() };
    let (scorer, sender, answers) = start(Gate(gate), options);
    for number in 0..50 {
        submit(&scorer, number, &sender);
        let (answered, scored) = answers.recv_timeout(PATIENCE).expect("an answer while the model hangs");
        assert_eq!(answered, number);
        assert!(matches!(scored.fault, Some(Fault::Late | Fault::Resting)), "{:?}", scored.fault);
        fell_back(&scored, number, scored.fault.expect("a fault"));
    }
    assert!(scorer.counts().stuck);
    assert_eq!(scorer.counts().late_runs, 1);
    // Dropping while the model still hangs must not hang either.
    drop(scorer);
    drop(go);
}

#[test]
fn a_model_that_comes_back_is_used_again() {
    let (go, gate) = channel();
    let options = Options { deadline: Duration::from_millis(5), ..Options::default() };
    let (scorer, sender, answers) = start(Gate(gate), options);
    submit(&scorer, 1, &sender);
    fell_back(&answers.recv_timeout(PATIENCE).expect("an answer").1, 1, Fault::Late);
    drop(go);
    let recovered = (2..100_000).find(|number| {
        submit(&scorer, *number, &sender);
        let (_, scored) = answers.recv_timeout(PATIENCE).expect("an answer");
        std::thread::sleep(Duration::from_micros(200));
        scored.fault.is_none()
    });
    assert!(recovered.is_some(), "the model came back but was never used again: {:?}", scorer.counts());
}

#[test]
fn models_that_are_late_again_and_again_rest() {
    let (go, gate) = channel();
    let options = Options {
        deadline: Duration::from_millis(5),
        late_max: 1,
        rest: Duration::from_secs(3_600),
        ..Options::default()
    };
    let (scorer, sender, answers) = start(Gate(gate), options);
    submit(&scorer, 1, &sender);
    fell_back(&answers.recv_timeout(PATIENCE).expect("an answer").1, 1, Fault::Late);
    drop(go);
    while scorer.counts().runs == 0 || scorer.counts().stuck {
        std::thread::yield_now();
    }
    submit(&scorer, 2, &sender);
    fell_back(&answers.recv_timeout(PATIENCE).expect("an answer").1, 2, Fault::Resting);
    assert_eq!(scorer.counts().runs, 1);
}

#[test]
fn a_full_queue_is_answered_at_once() {
    let (go, gate) = channel();
    let options = Options { waiting_max: 4, ..patient() };
    let (scorer, sender, answers) = start(Gate(gate), options);
    for number in 0..20 {
        submit(&scorer, number, &sender);
    }
    let (number, scored) = answers.recv_timeout(PATIENCE).expect("an answer before the model moves");
    fell_back(&scored, number, Fault::Overloaded);
    drop(go);
    assert_eq!(answers.iter().take(19).count(), 19);
    assert!(scorer.counts().overloaded >= 11, "{:?}", scorer.counts());
}

#[test]
fn a_scorer_that_panics_or_forgets_rows_is_a_fault() {
    for scorer in [start(Panics, patient()), start(Forgets, patient())] {
        let (scorer, sender, answers) = scorer;
        for number in 0..3 {
            submit(&scorer, number, &sender);
            fell_back(&answers.recv_timeout(PATIENCE).expect("an answer").1, number, Fault::Failed);
        }
    }
}

#[test]
fn a_callback_that_panics_harms_nobody_else() {
    let (scorer, sender, answers) = start(Echo, patient());
    scorer.submit(row(0), Box::new(|_| panic!("a callback that panics")));
    submit(&scorer, 1, &sender);
    assert_eq!(answers.recv_timeout(PATIENCE).expect("an answer").1.fault, None);
    assert_eq!(scorer.counts().reply_panics, 1);
}

#[test]
fn dropping_answers_what_is_queued() {
    let (scorer, sender, answers) = start(Echo, patient());
    for number in 0..1_000 {
        submit(&scorer, number, &sender);
    }
    drop(scorer);
    drop(sender);
    assert_eq!(answers.iter().count(), 1_000);
}

#[test]
fn operators_learn_what_the_engine_said() {
    let (scorer, sender, answers) = start(Explains, patient());
    assert_eq!(scorer.failure(), None);
    submit(&scorer, 1, &sender);
    fell_back(&answers.recv_timeout(PATIENCE).expect("an answer").1, 1, Fault::Failed);
    assert_eq!(scorer.failure().as_deref(), Some("out of memory"));
}
