//! Groups come and go, names are used again, sources contradict each other, and nothing grows.

use super::*;
use crate::{
    enrich::runtime::Source,
    event::{Facts, Image, Lack, Names},
};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const V1: u64 = Header::CGROUP_V1;

fn made(at: u64) -> Made {
    Made { at: Some(at), by: Some(7) }
}

fn container(table: &Containers, key: u64) -> Arc<Container> {
    match table.get(key) {
        Some(Place::Container(container)) => Arc::clone(container),
        other => panic!("{key}: {other:?}"),
    }
}

fn named(instance: u64, source: Source, name: &str) -> Found {
    Found { instance, source, facts: Facts { name: Some(name.into()), ..Facts::default() } }
}

#[test]
fn all_groups_of_a_container_are_one_and_are_asked_about_once() {
    let path = format!("/docker/{ID}");
    let mut table = Containers::new(Limits::default());
    let ask = table.insert(1, &path, made(10)).unwrap();
    assert_eq!((&*ask.id, &*ask.cgroup, ask.instance), (ID, path.as_str(), 1));
    assert!(table.insert(2 | V1, &path, made(11)).is_none(), "the same in the other hierarchy");
    assert!(table.insert(3, &format!("{path}/init.scope"), made(12)).is_none());
    assert!(table.insert(1, &path, made(13)).is_none(), "found twice");
    table.learn(named(1, Source::Bundle, "web"));
    for key in [1, 2 | V1, 3] {
        let container = container(&table, key);
        assert_eq!((container.facts.name.as_deref(), container.started), (Some("web"), Some(10)), "{key}");
    }
    assert_eq!((table.len(), table.groups()), (1, 3));
}

#[test]
fn a_path_that_is_used_again_is_another_container() {
    let mut table = Containers::new(Limits::default());
    let first = table.insert(1, "/default/t1", made(10)).unwrap();
    table.learn(named(first.instance, Source::Containerd, "old"));
    table.remove(1, 20);
    let second = table.insert(2, "/default/t1", made(30)).unwrap();
    assert_ne!(first.instance, second.instance);
    assert_eq!(container(&table, 2).facts.name, None, "nothing is inherited");
    assert_eq!(container(&table, 1).facts.name.as_deref(), Some("old"), "what is on its way keeps its name");
    assert_eq!(table.at("/default/t1"), Some(second.instance));
    // The end was lost, but the same directory cannot be made twice.
    let third = table.insert(3, "/default/t1", made(40)).unwrap();
    assert_ne!(second.instance, third.instance);
}

#[test]
fn what_is_gone_is_released_a_little_later() {
    let mut table = Containers::new(Limits::default());
    table.insert(1, "/default/t1", made(10));
    table.insert(2, "/system.slice/a.service", made(10));
    let empty = Containers::new(Limits::default()).bytes();
    table.remove(1, 20);
    table.remove(2, 20);
    let mut gone = Vec::new();
    table.release(20 + LINGER - 1, |instance| gone.push(instance));
    assert_eq!((table.groups(), gone.len()), (2, 0));
    table.release(20 + LINGER, |instance| gone.push(instance));
    assert_eq!((table.groups(), table.len(), gone, table.bytes()), (0, 0, vec![1], empty));
    assert_eq!(table.at("/default/t1"), None);
    // A storm does not wait: only so many are remembered.
    for key in 1..=100_000 {
        table.insert(key, &format!("/default/c{key}"), made(key));
        table.remove(key, 21);
        table.release(21, |_| {});
        assert!(table.groups() <= LINGERING + 1);
    }
}

#[test]
fn nested_groups_do_not_keep_a_new_container_away() {
    let mut table = Containers::new(Limits::default());
    table.insert(1, "/default/t1", made(10));
    table.insert(2, "/default/t1/inner", made(10));
    table.remove(2, 20);
    table.remove(1, 20);
    assert!(table.insert(3, "/default/t1", made(30)).is_some());
    assert!(table.insert(4, "/default/t1/inner", made(30)).is_none());
    assert_eq!(container(&table, 4).instance, container(&table, 3).instance);
}

#[test]
fn completeness_follows_what_is_known() {
    let mut table = Containers::new(Limits::default());
    let uid = "7bb0d1f4-2a51-4b6c-9d39-0a9f1b1f1b1f";
    let ask = table.insert(1, &format!("/kubepods/pod{uid}/{ID}"), made(10)).unwrap();
    let lack = |table: &Containers| container(table, 1).lack;
    let all = Lack::ALL.iter().fold(Lack::NONE, |all, (one, _)| all.with(*one, true));
    assert_eq!(lack(&table), all);
    let facts = Facts {
        image: Some(Image::named("a:1")),
        users: Some(Arc::new(Names::default())),
        ..Facts::default()
    };
    table.learn(Found { instance: ask.instance, source: Source::Containerd, facts });
    table.learn(named(ask.instance, Source::Bundle, "app"));
    assert_eq!(lack(&table), Lack::POD);
    let pod = crate::event::Pod { name: Some("p".into()), namespace: Some("n".into()), ..Default::default() };
    let facts = Facts { pod: Some(Arc::new(pod)), ..Facts::default() };
    table.learn(Found { instance: ask.instance, source: Source::Containerd, facts });
    assert!(lack(&table).is_none());
    // The better source's word stays.
    table.learn(named(ask.instance, Source::Containerd, "from-runtime"));
    table.learn(named(ask.instance, Source::Bundle, "from-bundle"));
    assert_eq!(container(&table, 1).facts.name.as_deref(), Some("from-runtime"));
    assert_eq!(container(&table, 1).pod_uid(), Some(uid));
}

#[test]
fn memory_is_bounded_whatever_containers_are_called_and_labelled() {
    let limits = Limits { container: 10_000, all: 100_000 };
    let mut table = Containers::new(limits);
    for key in 1..=200 {
        let ask = table.insert(key, &format!("/default/c{key}"), made(key)).unwrap();
        let labels = (0..1000).map(|n| (format!("l{n}").into(), "x".repeat(50).into())).collect();
        let facts = Facts { labels, image: Some(Image::named("a")), ..Facts::default() };
        table.learn(Found { instance: ask.instance, source: Source::Containerd, facts });
    }
    assert!(table.bytes() < 100_000 + 10_000 + 200 * (LITTLE + 1024), "{}", table.bytes());
    assert_eq!(container(&table, 200).image().unwrap().name, "a".into(), "what identifies it stays");
}
