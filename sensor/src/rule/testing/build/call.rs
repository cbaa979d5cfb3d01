//! What was asked of the kernel by numbers, and descriptors that became something else.

use super::{Built, Draft, Pair, unsettable};
use crate::{
    event::{Detail, File, Socket},
    rule::field::{Form, parts},
};

impl Draft {
    pub(super) fn set_call(&mut self, pair: &Pair<'_>) -> Built<()> {
        let event = &mut self.event;
        let Detail::Call(call) = &mut event.detail else { return unsettable(pair) };
        let name = pair.name.strip_prefix("evt.arg.").unwrap_or(pair.name);
        let part = parts(event.event_type).iter().find(|part| part.name == name);
        let Some(part) = part else {
            match name {
                "fd" | "fd.num" => event.result = pair.number()?,
                "fd.name" => {
                    call.path = pair.text.as_str().into();
                    call.text = pair.text.as_str().into();
                    call.file = Some(File::default());
                }
                _ => return unsettable(pair),
            }
            return Ok(());
        };
        let value = match part.form {
            Form::Int | Form::Id | Form::Wide => pair.number()?,
            Form::Choice(table) => match table.iter().find(|choice| choice.name == pair.text) {
                Some(choice) => choice.value.cast_signed(),
                None => pair.number()?,
            },
            Form::Flags(table) => pair.flags(table)?.cast_signed(),
            Form::Caps => pair.flags(crate::event::flags::CAPABILITIES)?.cast_signed(),
            Form::Text => {
                call.text = pair.text.as_str().into();
                return Ok(());
            }
        };
        if let Some(place) = call.args.get_mut(part.place) {
            *place = value;
        }
        Ok(())
    }

    pub(super) fn set_dup(&mut self, pair: &Pair<'_>) -> Built<()> {
        let Detail::Dup(dup) = &mut self.event.detail else { return unsettable(pair) };
        match pair.name {
            "fd.num" | "evt.arg.newfd" => {
                dup.fd = pair.number()?;
                self.event.result = dup.fd.into();
            }
            "evt.arg.oldfd" | "evt.arg.fd" => dup.old_fd = pair.number()?,
            "fd.name" if pair.text.starts_with('/') => {
                dup.path = pair.text.as_str().into();
                dup.file = Some(File::default());
            }
            "fd.type" | "fd.typechar" if matches!(pair.text.as_str(), "f" | "file") => {
                dup.file = Some(File::default());
            }
            "fd.directory" | "fd.filename" => {}
            name if name.starts_with("fd.") => {
                dup.socket.get_or_insert_with(|| Socket { family: 2, socket_type: 1, ..Socket::default() });
                return self.set_socket(pair);
            }
            _ => return unsettable(pair),
        }
        Ok(())
    }
}
