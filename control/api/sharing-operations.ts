/** The schemas of the wire go in; what people ask about sharing comes out, for the description of the API. */
import type { Operation } from './operation.ts'
import * as wire from '../wire/index.ts'

const { paths } = wire

/** Aliases, owners, requests for access, and the cap on sharing. */
export const sharingOperations: Readonly<Record<string, Operation>> = {
  [`POST ${paths.workspaceAliases}`]: {
    summary: 'Give it an alias, or an alias of its another port.',
    body: wire.newAliasSchema,
    answers: { 201: wire.workspaceViewSchema },
  },
  [`DELETE ${paths.workspaceAlias}`]: {
    summary: 'Take an alias away.',
    answers: { 200: wire.workspaceViewSchema },
  },
  [`POST ${paths.workspaceTransfer}`]: {
    summary: 'Give it to another person, or to a group.',
    body: wire.transferSchema,
    answers: { 202: wire.transferredSchema },
  },
  [`GET ${paths.accessRequests}`]: {
    summary: 'Requests for access: those that I may answer, and those that I made.',
    answers: { 200: wire.accessRequestsSchema },
  },
  [`POST ${paths.accessRequestGrant}`]: {
    summary: 'Grant what was asked for.',
    body: wire.grantRequestSchema,
    answers: { 204: null },
  },
  [`POST ${paths.accessRequestDecline}`]: { summary: 'Put it aside.', answers: { 204: null } },
  [`GET ${paths.settings}`]: {
    summary: 'The settings of the deployment.',
    answers: { 200: wire.settingsSchema },
  },
  [`PATCH ${paths.settings}`]: {
    summary: 'Change some of them.',
    body: wire.patchSettingsSchema,
    answers: { 200: wire.settingsSchema },
  },
}
