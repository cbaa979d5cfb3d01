//! One look after the other, without a thread: what is compiled, what is sent, what is only compared.

use std::{fs, path::Path};

use super::*;

const GOOD: &str = "- {rule: one, desc: d, condition: evt.num > 0, output: o, priority: INFO}\n";

struct Scene {
    dir: tempfile::TempDir,
    reloader: Reloader,
    results: Receiver<Reloaded>,
}

impl Scene {
    fn new(watch: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rules.d")).unwrap();
        let at = dir.path().to_owned();
        let planner = move || {
            if at.join("bad").exists() {
                return Err("the configuration is wrong".to_owned());
            }
            let mut files = Files::default();
            files.optional(&at.join("rules.d"));
            Ok(Plan { files, watch, ..Plan::default() })
        };
        let (sender, results) = channel();
        let reloader = Reloader {
            planner: Box::new(planner),
            plan: Plan::default(),
            tried: Ok(Content::default()),
            failing: None,
            watch: None,
            results: sender,
        };
        Self { dir, reloader, results }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("rules.d").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What one look sends, in short.
    fn look(&mut self, why: Why) -> Option<String> {
        assert!(self.reloader.look(why));
        let sent = self.results.try_recv().ok()?;
        assert!(self.results.try_recv().is_err(), "one look sends one thing");
        Some(match sent {
            Reloaded::Rules { set, origin } => {
                format!("{} rules, {} sources", set.rules().len(), origin.sources.len())
            }
            Reloaded::Failed { error, errors, new } => format!("{errors} errors, new {new}: {error}"),
        })
    }
}

#[test]
fn only_what_changed_is_compiled() {
    let mut scene = Scene::new(true);
    assert_eq!(scene.look(Why::Changed), None);
    scene.write("a.yaml", GOOD);
    assert_eq!(scene.look(Why::Changed).unwrap(), "1 rules, 1 sources");
    assert_eq!(scene.look(Why::Changed), None);
    assert_eq!(scene.look(Why::Asked), None);
    // The same text, written anew.
    scene.write("a.yaml", GOOD);
    assert_eq!(scene.look(Why::Changed), None);
    scene.write("b.txt", "no rules");
    assert_eq!(scene.look(Why::Changed), None);
    fs::rename(scene.path("a.yaml"), scene.path("b.yaml")).unwrap();
    assert_eq!(scene.look(Why::Changed).unwrap(), "1 rules, 1 sources");
    fs::remove_file(scene.path("b.yaml")).unwrap();
    assert_eq!(scene.look(Why::Changed).unwrap(), "0 rules, 0 sources");
}

#[test]
fn a_failure_is_new_once_and_what_was_tried_is_tried_again_when_it_changes() {
    let mut scene = Scene::new(false);
    scene.write("a.yaml", "- rule: [");
    let first = scene.look(Why::Changed).unwrap();
    assert!(first.contains("new true") && first.contains("a.yaml:1:"), "{first}");
    assert_eq!(scene.look(Why::Changed), None);
    // Somebody who asks is told again.
    assert!(scene.look(Why::Asked).unwrap().contains("new false"));
    // Another text with the same error.
    scene.write("b.yaml", GOOD);
    assert!(scene.look(Why::Changed).unwrap().contains("new false"));
    scene.write("a.yaml", "- {rule: two}");
    assert!(scene.look(Why::Changed).unwrap().contains("new true"));
    fs::remove_file(scene.path("a.yaml")).unwrap();
    assert_eq!(scene.look(Why::Changed).unwrap(), "1 rules, 1 sources");
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_failure_too() {
    let mut scene = Scene::new(true);
    scene.write("a.yaml", GOOD);
    assert!(scene.look(Why::Changed).is_some());
    let bad = scene.dir.path().join("bad");
    fs::write(&bad, "").unwrap();
    assert_eq!(scene.look(Why::Changed).unwrap(), "1 errors, new true: the configuration is wrong");
    // What was known before is still watched, so that its repair is seen.
    assert!(scene.reloader.plan.files.paths().eq([Path::new(&scene.dir.path().join("rules.d"))]));
    fs::remove_file(bad).unwrap();
    assert_eq!(scene.look(Why::Changed).unwrap(), "1 rules, 1 sources");
}

#[test]
fn nobody_who_receives_ends_it() {
    let scene = Scene::new(false);
    scene.write("a.yaml", GOOD);
    let Scene { mut reloader, results, dir } = scene;
    drop(results);
    assert!(!reloader.look(Why::Changed));
    drop(dir);
}
