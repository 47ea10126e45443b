//! Descriptors: what the kernel's schemes offer to a program that is alone on the machine.

use crate::{
    abi::{self, Answer, Errno, Status},
    counters::Count,
    kernel::{AddressSpace, After, Kernel, SharedSpace, SharedTable},
    memory::words,
    process::Start,
    space::PAGE,
};
use anyhow::Result;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::{Rc, Weak},
};

/// The longest name that the kernel takes.
const NAME: usize = 64;

/// How many frames the machine says it has.
const FRAMES: usize = (16 << 30) / PAGE;

/// What a descriptor stands for.
#[derive(Clone, Debug)]
pub(crate) enum Handle {
    /// The root of a scheme, by number.
    Root(u8),
    /// Debug output.
    Debug,
    /// Fresh memory.
    Memory,
    /// The counters of the runner, which no kernel has.
    Counters,
    Context(usize),
    Status(usize),
    /// The bases of the segments: the thread pointer.
    Environment(usize),
    Start(usize),
    Space(SharedSpace),
    /// To be told an address space, which is entered when the descriptor is closed.
    CurrentSpace(usize),
    NextSpace(usize, SharedSpace, Start),
    /// A table of descriptors, kept alive by those contexts that use it.
    Table(Weak<RefCell<Table>>),
    /// A copy of a table.
    NewTable(SharedTable),
    CurrentTable(usize),
    NextTable(usize, SharedTable),
    Floor(SharedSpace),
}

type File = Rc<RefCell<Handle>>;

/// A table of descriptors. Those of [`abi::UPPER_TABLE`] are only numbers like the others here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    files: BTreeMap<usize, File>,
}

impl Table {
    /// What the program begins with: the roots of all schemes, and the one to make schemes.
    pub(crate) fn of_bootstrap() -> Self {
        let file = |scheme| {
            let number = abi::UPPER_TABLE | usize::from(scheme);
            (number, Rc::new(RefCell::new(Handle::Root(scheme))))
        };
        Self {
            files: (0..=abi::SCHEMES).map(file).collect(),
        }
    }
}

impl Kernel {
    fn table(&self, id: usize) -> SharedTable {
        self.contexts
            .get(&id)
            .map_or_else(Rc::default, |context| Rc::clone(&context.files))
    }

    fn file(&self, id: usize, number: usize) -> Result<File, Errno> {
        self.table(id)
            .borrow()
            .files
            .get(&number)
            .map(Rc::clone)
            .ok_or(Errno::EBADF)
    }

    pub(crate) fn handle(&self, id: usize, number: usize) -> Result<Handle, Errno> {
        Ok(self.file(id, number)?.borrow().clone())
    }

    /// Whether anonymous memory can be mapped from it.
    pub(crate) fn is_memory(&self, id: usize, number: usize) -> bool {
        matches!(self.handle(id, number), Ok(Handle::Memory))
    }

    fn bytes(&self, id: usize, at: usize, size: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; size.min(1 << 20)];
        self.space(id)
            .borrow()
            .process
            .read(at, &mut bytes)
            .ok_or(Errno::EFAULT)?;
        Ok(bytes)
    }

    fn name(&self, id: usize, (at, size): (usize, usize)) -> Result<String, Errno> {
        if size > NAME {
            return Err(Errno::EINVAL);
        }
        String::from_utf8(self.bytes(id, at, size)?).map_err(|_| Errno::EINVAL)
    }

    fn enter(&mut self, id: usize, number: usize, handle: Handle) -> Answer {
        let table = self.table(id);
        let files = &mut table.borrow_mut().files;
        if files.contains_key(&number) {
            return Err(Errno::EEXIST);
        }
        files.insert(number, Rc::new(RefCell::new(handle)));
        Ok(number)
    }

    pub(crate) fn openat_into(
        &mut self,
        id: usize,
        number: usize,
        name: (usize, usize),
        into: usize,
    ) -> Answer {
        let name = self.name(id, name)?;
        let handle = match (self.handle(id, number)?, name.trim_start_matches('/')) {
            (Handle::Root(abi::DEBUG), "" | "no-preserve") => Handle::Debug,
            (Handle::Root(abi::DEBUG), "ralloc-counters") => Handle::Counters,
            (Handle::Root(abi::MEMORY), "" | "zeroed") => Handle::Memory,
            (Handle::Root(_), _) => return Err(Errno::ENOENT),
            _ => return Err(Errno::EACCES),
        };
        self.enter(id, into, handle)
    }

    /// A descriptor from another one: the same again, or what its scheme makes of a name.
    pub(crate) fn dup(
        &mut self,
        id: usize,
        number: usize,
        name: (usize, usize),
        into: usize,
        replace: bool,
    ) -> Result<Answer> {
        let file = match self.file(id, number) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let file = match self.name(id, name) {
            Err(error) => return Ok(Err(error)),
            Ok(name) if name.is_empty() => file,
            Ok(name) => {
                let handle = file.borrow().clone();
                match self.derive(id, handle, &name)? {
                    Err(error) => return Ok(Err(error)),
                    Ok(handle) => Rc::new(RefCell::new(handle)),
                }
            }
        };
        let table = self.table(id);
        let taken = table.borrow().files.contains_key(&into);
        if taken && !replace {
            self.drop_file(file)?;
            return Ok(Err(Errno::EEXIST));
        }
        let old = table.borrow_mut().files.insert(into, file);
        if let Some(old) = old {
            self.drop_file(old)?;
        }
        Ok(Ok(into))
    }

    fn derive(&mut self, id: usize, handle: Handle, name: &str) -> Result<Result<Handle, Errno>> {
        Ok(match (handle, name) {
            (Handle::Root(abi::PROC), "new-context") => {
                Ok(Handle::Context(self.add_context(Rc::default())))
            }
            (Handle::Root(abi::PROC), "cur-context") => Ok(Handle::Context(id)),
            (Handle::Root(abi::PROC), _) => Err(Errno::ENOENT),
            (Handle::Context(context), name) => self.of_context(context, name),
            (Handle::Space(space), "exclusive") => {
                let copy = space.borrow();
                let copy = AddressSpace {
                    model: copy.model.clone(),
                    process: copy.process.fork()?,
                };
                self.counters.add(Count::WalkedByFork, copy.model.pages());
                Ok(Handle::Space(Rc::new(RefCell::new(copy))))
            }
            (Handle::Space(space), "mmap-min-addr") => Ok(Handle::Floor(space)),
            (Handle::Table(table), "copy") => match table.upgrade() {
                Some(table) => Ok(Handle::NewTable(Rc::new(RefCell::new(
                    table.borrow().clone(),
                )))),
                None => Err(Errno::EOWNERDEAD),
            },
            _ => Err(Errno::EINVAL),
        })
    }

    fn of_context(&mut self, id: usize, name: &str) -> Result<Handle, Errno> {
        let context = self.context(id);
        let space = context.space.clone().ok_or(Errno::ENOENT);
        Ok(match name {
            "addrspace" => Handle::Space(space?),
            "mmap-min-addr" => Handle::Floor(space?),
            "filetable" => Handle::Table(Rc::downgrade(&context.files)),
            "current-addrspace" => Handle::CurrentSpace(id),
            "current-filetable" => Handle::CurrentTable(id),
            "regs/env" => Handle::Environment(id),
            "start" => Handle::Start(id),
            "status" => Handle::Status(id),
            "open_via_dup" => Handle::Context(id),
            _ => return Err(Errno::EINVAL),
        })
    }

    pub(crate) fn close(&mut self, id: usize, number: usize) -> Result<Answer> {
        let file = self.table(id).borrow_mut().files.remove(&number);
        match file {
            None => Ok(Err(Errno::EBADF)),
            Some(file) => {
                self.drop_file(file)?;
                Ok(Ok(0))
            }
        }
    }

    /// Gives up a file; the last owner's share of it does what it has been told to do then.
    fn drop_file(&mut self, file: File) -> Result<()> {
        match Rc::into_inner(file).map(RefCell::into_inner) {
            Some(Handle::NextSpace(id, space, start)) => {
                let context = self.context(id);
                let (fs, gs) = (context.start.fs, context.start.gs);
                context.start = Start { fs, gs, ..start };
                let old = context.space.replace(space);
                self.release(old);
            }
            Some(Handle::NextTable(id, table)) => self.context(id).files = table,
            Some(Handle::Space(space) | Handle::Floor(space)) => self.release(Some(space)),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, id: usize, number: usize, to: usize, size: usize) -> Answer {
        let bytes = match self.handle(id, number)? {
            Handle::Counters => self.counters_of(id),
            Handle::Status(context) => {
                let context = self.context(context);
                let mut bytes = (context.status as u64).to_le_bytes().to_vec();
                if context.status == Status::UnhandledException {
                    bytes.extend(context.exception.iter().flat_map(|word| word.to_le_bytes()));
                }
                bytes
            }
            Handle::Environment(context) => {
                let Start { fs, gs, .. } = self.context(context).start;
                [fs, gs]
                    .iter()
                    .flat_map(|word| word.to_le_bytes())
                    .collect()
            }
            Handle::Floor(space) => space.borrow().model.floor().to_le_bytes().to_vec(),
            _ => return Err(Errno::EBADF),
        };
        let bytes = &bytes[..bytes.len().min(size)];
        self.space(id)
            .borrow()
            .process
            .write(to, bytes)
            .ok_or(Errno::EFAULT)?;
        Ok(bytes.len())
    }

    /// The counters as they are, but for the call that reads them.
    fn counters_of(&self, id: usize) -> Vec<u8> {
        self.numbers(Some(&self.space(id))).bytes()
    }

    /// The counters, with what an address space holds at this moment.
    pub(crate) fn numbers(&self, space: Option<&SharedSpace>) -> crate::counters::Counters {
        let mut counters = self.counters.clone();
        if let Some(space) = space {
            let space = space.borrow();
            counters.set(Count::PagesReserved, space.model.pages());
            counters.set(Count::PagesPeak, space.model.peak());
            counters.set(Count::Frames, space.process.frames());
        }
        counters
    }

    pub(crate) fn write(
        &mut self,
        id: usize,
        number: usize,
        from: usize,
        size: usize,
    ) -> Result<After> {
        let told = self.handle(id, number).and_then(|handle| {
            let bytes = self.bytes(id, from, size)?;
            Ok((handle, bytes))
        });
        let (handle, bytes) = match told {
            Ok(told) => told,
            Err(error) => return Ok(After::Answer(Err(error))),
        };
        let answer = match handle {
            Handle::Debug => {
                self.console.write(&bytes);
                Ok(bytes.len())
            }
            Handle::Context(context) | Handle::Status(context) => {
                return self.order(id, context, &bytes, matches!(handle, Handle::Status(_)));
            }
            Handle::Start(context) => match self.context(context).status {
                Status::NotYetStarted => {
                    self.start(context)?;
                    Ok(bytes.len())
                }
                _ => Err(Errno::EINVAL),
            },
            Handle::Environment(context) => self.set_environment(id, context, &bytes)?,
            Handle::CurrentSpace(context) => self.choose_space(id, number, context, &bytes),
            Handle::CurrentTable(context) => self.choose_table(id, number, context, &bytes),
            Handle::Floor(space) => {
                let [floor] = words(&bytes);
                space.borrow_mut().model.set_floor(floor);
                Ok(8)
            }
            _ => Err(Errno::EBADF),
        };
        Ok(After::Answer(answer))
    }

    /// A verb for a context: all ones end it.
    fn order(&mut self, id: usize, other: usize, bytes: &[u8], may: bool) -> Result<After> {
        let [verb, base, size] = words::<3>(bytes);
        let answer = match verb {
            usize::MAX if bytes.len() >= 8 && other == id => {
                if bytes.len() >= 24 && size > 0 && self.funmap(id, base, size)?.is_err() {
                    return Ok(After::Answer(Err(Errno::EINVAL)));
                }
                self.leave(id, Status::Dead)?;
                return Ok(After::Gone);
            }
            usize::MAX if bytes.len() >= 8 && may => {
                self.kill(other)?;
                Ok(8)
            }
            usize::MAX | 1 | 2 if bytes.len() >= 8 => Err(Errno::EPERM),
            _ => Err(Errno::EINVAL),
        };
        Ok(After::Answer(answer))
    }

    fn kill(&mut self, other: usize) -> Result<()> {
        let context = self.context(other);
        match (context.status, context.thread, context.space.clone()) {
            (Status::Dead | Status::ForceKilled | Status::UnhandledException, ..) => return Ok(()),
            (Status::Runnable, Some(thread), Some(space)) => {
                crate::process::stop(&space.borrow().process, thread)?;
            }
            _ => {}
        }
        self.leave(other, Status::ForceKilled)
    }

    fn set_environment(&mut self, id: usize, other: usize, bytes: &[u8]) -> Result<Answer> {
        if bytes.len() < 16 {
            return Ok(Err(Errno::EINVAL));
        }
        let [fs, gs] = words(bytes).map(|word| word as u64);
        let context = self.context(other);
        match context.thread {
            Some(thread) if other == id => crate::process::set_bases(thread, fs, gs)?,
            // The kernel would stop it for that; no program needs it.
            Some(_) => return Ok(Err(Errno::EOPNOTSUPP)),
            None => {}
        }
        (context.start.fs, context.start.gs) = (fs, gs);
        Ok(Ok(16))
    }

    fn choose_space(&mut self, id: usize, number: usize, other: usize, bytes: &[u8]) -> Answer {
        let [file, stack, instruction, argument] = words(bytes);
        let with_argument = bytes.len() >= 32;
        let Handle::Space(space) = self.handle(id, file)? else {
            return Err(Errno::EBADF);
        };
        if bytes.len() < 24 || other == id {
            return Err(Errno::EINVAL);
        }
        let start = Start {
            instruction,
            stack,
            argument,
            ..Start::default()
        };
        *self.file(id, number)?.borrow_mut() = Handle::NextSpace(other, space, start);
        Ok(if with_argument { 32 } else { 24 })
    }

    fn choose_table(&mut self, id: usize, number: usize, other: usize, bytes: &[u8]) -> Answer {
        let [file] = words(bytes);
        let file = self.file(id, file)?;
        let table = match &*file.borrow() {
            Handle::Table(table) => table.upgrade().ok_or(Errno::EOWNERDEAD)?,
            Handle::NewTable(table) => Rc::clone(table),
            _ => return Err(Errno::EBADF),
        };
        *file.borrow_mut() = Handle::Table(Rc::downgrade(&table));
        *self.file(id, number)?.borrow_mut() = Handle::NextTable(other, table);
        Ok(8)
    }

    /// The one request that matters here: how many frames there are, and are free.
    pub(crate) fn call(
        &mut self,
        id: usize,
        number: usize,
        (to, size): (usize, usize),
        flags: usize,
        request: usize,
    ) -> Answer {
        let is_memory = matches!(
            self.handle(id, number)?,
            Handle::Memory | Handle::Root(abi::MEMORY)
        );
        let [kind] = words(&self.bytes(id, request, 8)?);
        if !is_memory || flags & abi::CALL_STD_FS == 0 || kind as u64 & 0xff != abi::STD_FSTATVFS {
            return Err(Errno::EOPNOTSUPP);
        }
        let space = self.space(id);
        let space = space.borrow();
        let free = FRAMES - space.process.frames().min(FRAMES);
        let bytes: Vec<u8> = [PAGE, FRAMES, free, free]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        if size != bytes.len() {
            return Err(Errno::EINVAL);
        }
        space.process.write(to, &bytes).ok_or(Errno::EFAULT)?;
        Ok(0)
    }
}
