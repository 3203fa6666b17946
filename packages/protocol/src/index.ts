/**
 * The words that a Cortex hub and its nodes share: errors, ids, limits, versions, the seam to the network.
 *
 * @packageDocumentation
 */
export { canonicalJson, type JsonValue, MAX_JSON_DEPTH } from "./canonical-json.js";
export { type Clock, systemClock, type Timer } from "./clock.js";
export { isEqualSecret, sha256, toBuffer } from "./encoding.js";
export {
  CortexError,
  type CortexErrorCode,
  type CortexErrorOptions,
  type ErrorDetails,
  isCortexError,
  isCortexErrorCode,
  toCortexError,
} from "./errors.js";
export { systemIds } from "./id-source.js";
export {
  type HubId,
  type IdPrefix,
  type IdSource,
  type InviteId,
  isId,
  type NodeId,
  parseId,
  parseUserId,
  type SessionId,
  type TaskId,
  type UserId,
} from "./ids.js";
export {
  decodeInvite,
  encodeInvite,
  hubServerName,
  INVITE_SECRET_BYTES,
  type Invite,
  type InviteFault,
  MAX_INVITE_CHARS,
} from "./invite.js";
export * from "./limits.js";
export type { FrameListener, Link } from "./link.js";
export { type HostRule, isHostAllowed } from "./policy/host-rules.js";
export { intersectPolicies } from "./policy/intersect.js";
export { ISOLATION_LEVELS, type IsolationLevel, isAtLeastLevel, isIsolationLevel } from "./policy/isolation-level.js";
export {
  DEFAULT_POLICY,
  isEnvDenied,
  type Policy,
  type PolicyInput,
  parsePolicy,
  parsePolicyBytes,
  policyBytes,
  policyHash,
  policySchema,
} from "./policy/policy.js";
export { toPrintable, withoutSecrets } from "./printable.js";
export {
  createVerifyKey,
  ED25519_KEY_BYTES,
  ED25519_SIGNATURE_BYTES,
  generateSigningKey,
  keyIdOf,
  type SigningKey,
  signingKeyFromSeed,
  type VerifyKey,
} from "./signing/ed25519.js";
export {
  isSignedPayload,
  type SignOptions,
  signGrant,
  signPayload,
  type VerifyGrantOptions,
  type VerifyOptions,
  verifyGrant,
} from "./signing/grant.js";
export { createKeyring, type Keyring, openGrantKeys } from "./signing/keyring.js";
export {
  DEFAULT_GRANT_LEEWAY_MS,
  GRANT_ID_BYTES,
  type GrantExpectation,
  type OpenedCancelGrant,
  type OpenedTaskGrant,
  type OpenGrantOptions,
  openCancelGrant,
  openTaskGrant,
  SESSION_NONCE_BYTES,
} from "./signing/open-grant.js";
export { preAuthenticationEncoding } from "./signing/pae.js";
export { PAYLOAD_TYPES, type PayloadType } from "./signing/payload-types.js";
export {
  type EnrollmentProofFields,
  isEnrollmentProof,
  isTokenProof,
  signEnrollmentProof,
  signTokenProof,
  type TokenProofFields,
} from "./signing/proofs.js";
export type { GrantFault } from "./signing/refusal.js";
export type { ProcessEnd, SkillContext, SkillEnd, SkillOutput } from "./skill/context.js";
export { type JsonSchema, toJsonSchema } from "./skill/json-schema.js";
export {
  defineSkill,
  isSkillName,
  MAX_SKILL_NAME_CHARS,
  type Skill,
  type SkillDefinition,
  type SkillDescription,
  type SkillImplementation,
  type SkillInput,
  type SkillResult,
  type SkillRun,
} from "./skill/skill.js";
export { type ValidateOptions, validateWith } from "./skill/validate.js";
export {
  CORTEX_VERSION,
  negotiateVersion,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_MIN,
  SUPPORTED_PROTOCOL,
  type VersionRange,
} from "./version.js";
