/** The first tables. Times are milliseconds; truth values 0 and 1; lists and records are JSON text. */
import type { Knex } from 'knex'

async function accounts(db: Knex): Promise<void> {
  await db.schema.createTable('users', (t) => {
    t.string('id', 40).primary()
    t.string('username', 40).notNullable().unique()
    t.string('email', 254)
    t.string('role', 20).notNullable()
    t.integer('disabled').notNullable()
    t.string('password_hash', 400).notNullable()
    t.bigInteger('created_at_ms').notNullable()
  })
  await db.schema.createTable('setup_tokens', (t) => {
    t.string('hash', 64).primary()
    t.bigInteger('created_at_ms').notNullable()
  })
  await db.schema.createTable('sessions', (t) => {
    t.string('hash', 64).primary()
    t.string('id', 40).notNullable().unique()
    t.string('user_id', 40).notNullable().references('users.id').onDelete('CASCADE').index()
    t.string('parent_hash', 64).references('sessions.hash').onDelete('CASCADE').index()
    t.string('workspace_id', 40)
    t.string('label', 63)
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('last_used_at_ms').notNullable()
    t.bigInteger('expires_at_ms').notNullable().index()
    t.bigInteger('ends_at_ms').notNullable()
    t.string('ip', 64).notNullable()
    t.string('user_agent', 400).notNullable()
  })
  await db.schema.createTable('codes', (t) => {
    t.string('hash', 64).primary()
    t.string('user_id', 40).notNullable()
    t.string('parent_hash', 64).notNullable().references('sessions.hash').onDelete('CASCADE')
    t.string('workspace_id', 40).notNullable()
    t.string('label', 63).notNullable()
    t.string('challenge', 64).notNullable()
    t.bigInteger('expires_at_ms').notNullable()
    t.integer('used').notNullable()
  })
  await db.schema.createTable('tokens', (t) => {
    t.string('hash', 64).primary()
    t.string('id', 40).notNullable().unique()
    t.string('user_id', 40).notNullable().references('users.id').onDelete('CASCADE').index()
    t.string('name', 80).notNullable()
    t.text('scopes').notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('expires_at_ms')
    t.bigInteger('last_used_at_ms')
  })
}

async function hosts(db: Knex): Promise<void> {
  await db.schema.createTable('hosts', (t) => {
    t.string('id', 40).primary()
    t.string('name', 80).notNullable()
    t.string('public_key', 200).notNullable()
    t.string('machine_id', 128).notNullable()
    t.integer('embedded').notNullable()
    t.integer('epoch').notNullable()
    t.string('credential_hash', 64).unique()
    t.string('runtime', 32).notNullable()
    t.text('capabilities').notNullable()
    t.text('subnets').notNullable()
    t.string('version', 64).notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('last_seen_at_ms').notNullable()
    t.integer('connected').notNullable()
    t.text('health').notNullable()
    t.bigInteger('desired_revision').notNullable()
  })
  await db.schema.createTable('host_tokens', (t) => {
    t.string('hash', 64).primary()
    t.string('id', 40).notNullable()
    t.string('name', 80).notNullable()
    t.bigInteger('expires_at_ms').notNullable()
    t.integer('used').notNullable()
  })
}

async function workspaces(db: Knex): Promise<void> {
  await db.schema.createTable('workspaces', (t) => {
    t.string('id', 40).primary()
    t.string('name', 40).notNullable().unique()
    t.string('owner_id', 40).notNullable().references('users.id').index()
    t.string('want', 10).notNullable()
    t.string('data', 10).notNullable()
    t.integer('admitted').notNullable()
    t.bigInteger('wanted_at_ms').notNullable()
    t.integer('generation').notNullable()
    t.text('spec').notNullable()
    t.text('resolved').notNullable()
    t.string('host_id', 40).references('hosts.id').index()
    t.bigInteger('desired_revision').notNullable()
    t.text('status')
    t.bigInteger('status_revision').notNullable()
    t.string('phase', 12).notNullable()
    t.text('reason')
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('updated_at_ms').notNullable()
    t.bigInteger('purge_at_ms')
    t.bigInteger('revision').notNullable()
  })
  await db.schema.createTable('timeline', (t) => {
    t.increments('id')
    t.string('workspace_id', 40).notNullable().references('workspaces.id').onDelete('CASCADE')
    t.bigInteger('at_ms').notNullable()
    t.string('phase', 12).notNullable()
    t.string('code', 40).notNullable()
    t.text('message').notNullable()
    t.string('actor', 40)
    t.index(['workspace_id', 'id'])
  })
  await db.schema.createTable('reserved_names', (t) => {
    t.string('name', 40).primary()
    t.string('owner_id', 40).notNullable()
    t.bigInteger('since_ms').notNullable()
  })
}

async function feed(db: Knex): Promise<void> {
  await db.schema.createTable('facts', (t) => {
    t.string('name', 40).primary()
    t.text('value').notNullable()
  })
  await db.schema.createTable('counters', (t) => {
    t.string('name', 40).primary()
    t.bigInteger('value').notNullable()
  })
  await db('counters').insert([
    { name: 'revision', value: 0 },
    { name: 'pruned', value: 0 },
  ])
  await db.schema.createTable('changes', (t) => {
    t.bigInteger('revision').primary()
    t.string('kind', 20).notNullable()
    t.string('subject', 64).notNullable()
    t.string('audience', 40)
  })
}

/** Makes all tables of the first version. */
export async function up(db: Knex): Promise<void> {
  await accounts(db)
  await hosts(db)
  await workspaces(db)
  await feed(db)
}
