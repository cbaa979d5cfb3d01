//! Which alerts and events a sink takes: pure, asked once for each.

use super::{Alert, Item, Severity};
use crate::{
    config::{EventsConfig, FilterConfig},
    event::{Container, Event, EventType},
    rule::fits,
};

/// What a sink takes.
#[derive(Clone, Debug)]
pub struct Taste {
    filter: FilterConfig,
    /// The greatest severity that is taken: 0 is an emergency, 7 debug.
    severity: u8,
    types: Vec<EventType>,
    one_in: u32,
    seen: u32,
}

impl Taste {
    /// As the configuration says, which was checked.
    #[must_use]
    pub fn new(filter: &FilterConfig, events: &EventsConfig) -> Self {
        Self {
            severity: Severity::of_priority(&filter.minimum_priority).syslog,
            filter: filter.clone(),
            types: events.types.iter().filter_map(|name| EventType::from_name(name)).collect(),
            one_in: events.one_in.max(1),
            seen: 0,
        }
    }

    /// Whether it takes events of this type.
    #[must_use]
    pub fn wants(&self, event_type: EventType) -> bool {
        self.types.contains(&event_type)
    }

    /// The types of events that it takes beside alerts.
    #[must_use]
    pub fn types(&self) -> &[EventType] {
        &self.types
    }

    /// Whether it takes this one.
    pub fn takes(&mut self, item: &Item) -> bool {
        match item {
            Item::Alert(alert) => self.takes_alert(alert),
            Item::Event(event) => self.takes_event(event),
        }
    }

    fn takes_alert(&self, alert: &Alert) -> bool {
        let FilterConfig { rules, tags, .. } = &self.filter;
        Severity::of_priority(alert.priority).syslog <= self.severity
            && (rules.is_empty() || rules.iter().any(|pattern| fits(pattern, &alert.rule)))
            && (tags.is_empty() || alert.tags.iter().any(|tag| tags.iter().any(|pattern| fits(pattern, tag))))
            && self.takes_place(alert.container.as_deref())
    }

    fn takes_event(&mut self, event: &Event) -> bool {
        if !self.wants(event.event_type) || !self.takes_place(event.container.as_deref()) {
            return false;
        }
        self.seen = self.seen.wrapping_add(1);
        self.seen.is_multiple_of(self.one_in)
    }

    fn takes_place(&self, container: Option<&Container>) -> bool {
        let FilterConfig { containers, namespaces, .. } = &self.filter;
        let named = |patterns: &[String], names: &[Option<&str>]| {
            patterns.is_empty()
                || patterns.iter().any(|pattern| names.iter().flatten().any(|name| fits(pattern, name)))
        };
        let place = match container {
            None => [Some("host"), None, None],
            Some(container) => {
                [container.facts.name.as_deref(), Some(&container.id), Some(&container.full_id)]
            }
        };
        let pod = container.and_then(|container| container.facts.pod.as_deref());
        named(containers, &place) && named(namespaces, &[pod.and_then(|pod| pod.namespace.as_deref())])
    }
}
