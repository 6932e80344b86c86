/** The schemas of the wire go in; what is said of groups and grants in the description of the API comes out. */
import { list, type Operation } from './operation.ts'
import * as wire from '../wire/index.ts'

const { paths } = wire

/** Groups, grants, and the broken glass. */
export const grantOperations: Readonly<Record<string, Operation>> = {
  [`GET ${paths.groups}`]: {
    summary: 'The groups that I am in; all, for administrators and auditors.',
    answers: { 200: list(wire.groupViewSchema) },
  },
  [`POST ${paths.groups}`]: {
    summary: 'Make a group.',
    body: wire.createGroupSchema,
    answers: { 201: wire.groupViewSchema },
  },
  [`GET ${paths.group}`]: { summary: 'One group.', answers: { 200: wire.groupViewSchema } },
  [`DELETE ${paths.group}`]: {
    summary: 'Delete a group that owns no workspaces, and the grants to it.',
    answers: { 204: null },
  },
  [`POST ${paths.groupMember}`]: {
    summary: 'Add a user to a group; oneself with a reason, where it opens workspaces of others.',
    body: wire.joinGroupSchema,
    answers: { 204: null },
  },
  [`DELETE ${paths.groupMember}`]: { summary: 'Take a user out of a group.', answers: { 204: null } },
  [`PATCH ${paths.host}`]: {
    summary: 'Open a host to all, or to the holders of grants only.',
    body: wire.patchHostSchema,
    answers: { 200: wire.hostViewSchema },
  },
  [`GET ${paths.restrictions}`]: {
    summary: 'What only the holders of a grant may use.',
    answers: { 200: list(wire.restrictionSchema) },
  },
  [`POST ${paths.restrictions}`]: {
    summary: 'Restrict a host, a template or an image to the holders of a grant on it.',
    body: wire.restrictionSchema,
    answers: { 201: wire.restrictionSchema },
  },
  [`DELETE ${paths.restrictions}`]: {
    summary: 'Open it to all again.',
    query: wire.restrictionSchema,
    answers: { 204: null },
  },
  [`GET ${paths.grants}`]: {
    summary: 'The grants on one thing (?kind=workspace&id=…), or mine.',
    query: wire.grantsQuerySchema,
    answers: { 200: list(wire.grantViewSchema) },
  },
  [`POST ${paths.grants}`]: {
    summary: 'Give a user or a group a grant on a workspace, template, image or host.',
    body: wire.createGrantSchema,
    answers: { 201: wire.grantViewSchema },
  },
  [`DELETE ${paths.grant}`]: { summary: 'Take a grant away, or give one up.', answers: { 204: null } },
  [`POST ${paths.workspaceBreakGlass}`]: {
    summary: 'For administrators: an hour as its editor, with a reason that its owner sees.',
    body: wire.breakGlassSchema,
    answers: { 201: wire.grantViewSchema },
  },
}
