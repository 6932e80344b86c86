/** A name that somebody wants for a workspace or an alias goes in; a coded refusal comes out where it is not theirs to take. */
import type { ControlOptions } from '../seams.ts'
import { isNameInUse, reservedFor } from '../store/names.ts'
import type { Db } from '../store/open.ts'
import { ApiError, nameProblemText } from '../wire/index.ts'

/** To be asked inside the transaction that takes the name, which is the only one. @throws ApiError invalid_name, name_taken */
export async function checkName(
  db: Db,
  { reservedNames }: Pick<ControlOptions, 'reservedNames'>,
  name: string,
  ownerId: string,
): Promise<void> {
  if (reservedNames?.includes(name) === true) throw new ApiError('invalid_name', nameProblemText.reserved)
  const reserved = await reservedFor(db, name)
  if ((reserved !== null && reserved !== ownerId) || (await isNameInUse(db, name)))
    throw new ApiError('name_taken')
}
