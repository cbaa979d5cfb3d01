//! The containers that are there, as the event thread last said, and who of them is meant by what an operator types.

use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Container;

/// Containers named in an answer that says that several are meant.
const NAMED: usize = 20;

/// A list that one thread writes and another reads.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<Vec<Arc<Container>>>>);

impl Known {
    /// These are there now.
    pub fn set(&self, containers: Vec<Arc<Container>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = containers;
    }

    /// How many are there.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Who is meant: `Ok(None)` where nobody is.
    ///
    /// # Errors
    /// Where several are: a sentence with their names.
    pub fn find(&self, text: &str) -> Result<Option<Arc<Container>>, String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(exact) = all.iter().find(|container| *container.full_id == *text) {
            return Ok(Some(Arc::clone(exact)));
        }
        let found: Vec<_> = all.iter().filter(|container| is_meant(container, text)).collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(Arc::clone(one))),
            several => {
                let names: Vec<_> = several.iter().take(NAMED).map(|container| in_words(container)).collect();
                let more = several.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Err(format!(
                    "`{text}` is not one container but {}: {}{more}",
                    several.len(),
                    names.join(", ")
                ))
            }
        }
    }
}

fn is_meant(container: &Container, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let name = container.facts.name.as_deref();
    if container.full_id.starts_with(text) || name == Some(text) {
        return true;
    }
    let Some(pod) = container.pod() else { return false };
    let (Some(namespace), Some(pod)) = (pod.namespace.as_deref(), pod.name.as_deref()) else { return false };
    let mut parts = text.splitn(3, '/');
    parts.next() == Some(namespace)
        && parts.next() == Some(pod)
        && parts.next().is_none_or(|container| Some(container) == name)
}

fn in_words(container: &Container) -> String {
    let pod =
        container.pod().and_then(|pod| Some(format!("{}/{}/", pod.namespace.as_ref()?, pod.name.as_ref()?)));
    let name = container.facts.name.as_deref().unwrap_or("<NA>");
    format!("{} ({}{name})", container.id, pod.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Facts, Pod, Runtime};

    fn container(id: &str, name: &str, pod: Option<&str>) -> Arc<Container> {
        let mut container = Container::new(id, Runtime::Containerd, &format!("/default/{id}"), None);
        let pod = pod.map(|it| {
            Arc::new(Pod { namespace: Some("shop".into()), name: Some(it.into()), ..Pod::default() })
        });
        container.facts = Facts { name: Some(name.into()), pod, ..Facts::default() };
        Arc::new(container)
    }

    #[test]
    fn containers_are_found_by_id_name_and_pod_and_ambiguity_is_an_error() {
        let known = Known::default();
        known.set(vec![
            container("abc1", "web", Some("front")),
            container("abc2", "side", Some("front")),
            container("abc22", "db", None),
        ]);
        let find = |text: &str| known.find(text).map(|found| found.map(|it| it.full_id.to_string()));
        assert_eq!(find("abc1"), Ok(Some("abc1".to_owned())));
        assert_eq!(
            find("abc2"),
            Ok(Some("abc2".to_owned())),
            "a whole id is meant, though another begins with it"
        );
        assert_eq!(find("db"), Ok(Some("abc22".to_owned())));
        assert_eq!(find("shop/front/side"), Ok(Some("abc2".to_owned())));
        for nobody in ["", "x", "shop/", "shop/front/", "front", "shop/front/web/x"] {
            assert_eq!(find(nobody), Ok(None), "{nobody}");
        }
        let several = find("shop/front").unwrap_err();
        assert_eq!(
            several,
            "`shop/front` is not one container but 2: abc1 (shop/front/web), abc2 (shop/front/side)"
        );
        assert!(find("abc").unwrap_err().contains("not one container but 3"));
    }
}
