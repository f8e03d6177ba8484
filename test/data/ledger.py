"""What the tests that go the whole way share: people of each access level, a suggested mapping and the edits a user makes.

    people = ledger.People(db, 'maven')          # roles of this database's own names; dropped at the end
    people.become('loader')                      # from here on the session is theirs
    script = ledger.suggest(db, "'crm.deal', 'maven'")
    mapping, model = ledger.parts(ledger.edit(script, [(old, new), …]))
"""
import atexit
import os
import subprocess

from harness import literal

LEVELS = ('loader', 'steward', 'council', 'analyst', 'reader')


class People:
    def __init__(self, db, name):
        self.db = db
        self.names = {level: '%s_%s_%d' % (name, level, os.getpid()) for level in LEVELS}
        for level, role in self.names.items():
            db.run('create role %s; select grant_access(%s, %s) \\g /dev/null' % (role, literal(level), literal(role)))
        db.run('create schema crm authorization %s; grant usage on schema crm to public;' % self.names['loader'])
        atexit.register(self.drop)

    def become(self, level):
        """The session becomes theirs; None: the superuser's again."""
        self.db.run('reset session authorization; drop function if exists pg_temp.sqlstate_of(text);')   # the harness' own, of whoever made it
        if level is not None:
            self.db.run('set session authorization %s;' % self.names[level])

    def drop(self):
        self.db.close()
        subprocess.run(['psql', '-Xq', '-c', 'set client_min_messages = error'] +
                       sum((['-c', 'drop owned by %s cascade' % r, '-c', 'drop role %s' % r] for r in self.names.values()), []),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def suggest(db, arguments):
    """The lines that suggest_mapping() writes."""
    return '\n'.join(r['line'] or '' for r in db.rows('select line from suggest_mapping(%s) with ordinality as s (line, no) order by no' % arguments))


def edit(script, edits):
    """The edits of a user: each finds what it replaces, or the suggestion is not what it was."""
    for old, new in edits:
        if old not in script:
            raise AssertionError('the suggested mapping has no %r:\n%s' % (old, script))
        script = script.replace(old, new)
    return script


def parts(script):
    """What is to be run now, and the draft of the model, its comment signs taken out."""
    mapping, _, model = script.partition('-- What the stages mean')
    return mapping, '\n'.join(line[3:] for line in model.split('\n') if line.startswith('-- SELECT'))


def agree(db, people, draft, extra='', name='steward'):
    """A steward drafts and proposes, the council signs; returns the number of the change."""
    people.become(name)
    head, _, tail = draft.rpartition('SELECT revacct.propose_change();')
    db.run('\\o /dev/null\n%s\n%s\nSELECT revacct.propose_change();\n\\o' % (head, extra))
    number = db.value('select max(change_no) as n from open_changes')
    people.become('council')
    assert db.value('select approve(%d) as status' % number) == 'approved'
    return number
