//! `cargo xtask relibc`: put the glue into a checkout of relibc, and take it out again.
//!
//! Nothing is written before everything has been looked at: a tree in which a place is not as expected stays as it is, and all that
//! is unexpected is named. What a file was is kept in `.ralloc` in the checkout, and what we made of it too, so that it can
//! be undone to the byte, and is not undone if somebody has changed it since.

mod changes;

use anyhow::{Context, Result, bail, ensure};
use changes::{CHANGES, Change};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where to, and which way.
#[derive(clap::Args)]
pub(crate) struct Relibc {
    /// The checkout of relibc.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// Take the glue out again.
    #[arg(long)]
    undo: bool,
}

/// Puts the glue in or takes it out, and says what was done.
pub(crate) fn run(relibc: &Relibc) -> Result<()> {
    let checkout = Checkout::open(&relibc.dir)?;
    let done = match relibc.undo {
        true => checkout.undo()?,
        false => checkout.put()?,
    };
    println!("{}: {done}", relibc.dir.display());
    Ok(())
}

struct Checkout {
    root: PathBuf,
}

impl Checkout {
    fn open(root: &Path) -> Result<Self> {
        let manifest = read(&root.join("Cargo.toml"))?;
        let is_relibc = manifest.is_some_and(|text| text.contains("name = \"relibc\""));
        ensure!(
            is_relibc,
            "{} is no checkout of relibc: it has no Cargo.toml of a package `relibc`",
            root.display()
        );
        Ok(Self {
            root: root.to_owned(),
        })
    }

    fn file(&self, change: &Change) -> PathBuf {
        self.root.join(change.path)
    }

    /// What a file was before us, or what we made of it.
    fn kept(&self, what: &str, change: &Change) -> PathBuf {
        self.root.join(".ralloc").join(what).join(change.path)
    }

    fn is_in_place(&self) -> bool {
        self.root.join(".ralloc").is_dir()
    }

    fn put(&self) -> Result<&'static str> {
        let was_there = self.is_in_place();
        if was_there {
            self.refuse_changed()?;
        }
        let mut surprises = Vec::new();
        let mut results = Vec::new();
        for change in CHANGES {
            let original = match was_there {
                true => read(&self.kept("original", change))?,
                false => read(&self.file(change))?,
            };
            let result = change.result(original.as_deref(), &mut surprises)?;
            results.push((change, original, result));
        }
        ensure!(
            surprises.is_empty(),
            "this relibc is not one that the glue knows, and nothing was changed:\n  {}",
            surprises.join("\n  ")
        );
        let is_same = |(change, _, result): &(&Change, _, Option<String>)| {
            Ok::<_, anyhow::Error>(read(&self.file(change))? == *result)
        };
        let mut all_same = was_there;
        for result in &results {
            all_same &= is_same(result)?;
        }
        if all_same {
            return Ok("the glue is in place already");
        }
        // First what undoing needs, then the files.
        for (change, original, result) in &results {
            write(&self.kept("original", change), original.as_deref())?;
            write(&self.kept("ours", change), result.as_deref())?;
        }
        // It is nobody's to commit.
        write(&self.root.join(".ralloc/.gitignore"), Some("*\n"))?;
        for (change, _, result) in &results {
            write(&self.file(change), result.as_deref())?;
        }
        Ok(match was_there {
            true => "the glue was there, and is up to date now",
            false => "the glue is in place; `--undo` takes it out again",
        })
    }

    fn undo(&self) -> Result<&'static str> {
        if !self.is_in_place() {
            return Ok("the glue is not there");
        }
        self.refuse_changed()?;
        for change in CHANGES {
            let original = read(&self.kept("original", change))?;
            write(&self.file(change), original.as_deref())?;
        }
        fs::remove_dir_all(self.root.join(".ralloc"))?;
        Ok("the glue is out, every file is what it was")
    }

    /// Files that somebody has changed since would lose that.
    fn refuse_changed(&self) -> Result<()> {
        let mut changed = Vec::new();
        for change in CHANGES {
            if read(&self.file(change))? != read(&self.kept("ours", change))? {
                changed.push(change.path);
            }
        }
        if !changed.is_empty() {
            bail!(
                "changed since the glue was put in, so nothing was done:\n  {}\n\
                 Put these back to what is in .ralloc/ours, or merge .ralloc/original by hand and remove .ralloc",
                changed.join("\n  ")
            );
        }
        Ok(())
    }
}

/// The text of a file, if it is there.
fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Makes a file have this text, or not be there.
fn write(path: &Path, text: Option<&str>) -> Result<()> {
    let done = match text {
        Some(text) => {
            let folder = path.parent().context("a file has a folder")?;
            fs::create_dir_all(folder).and_then(|()| fs::write(path, text))
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        },
    };
    done.with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests;
