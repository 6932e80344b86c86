/** Pure. A password and whose it shall be go in; what is wrong with it, as a sentence for that person, comes out. */

/** How long a password is, in UTF-16 units. A long one costs no more to hash than a short one. */
export const PASSWORD_MIN = 10
export const PASSWORD_MAX = 1024

/** The ones of that length which guessers try first, in small letters. */
const common: ReadonlySet<string> = new Set(
  `1234567890 0123456789 12345678910 123456789a 123456789q 1234567891 12345678901 123456789012 1234512345 1234554321
9876543210 0987654321 1029384756 1122334455 1111122222 1212121212 1313131313 147258369a 7894561230 7418529630 a123456789
aa123456789 aa12345678 q123456789 asd1234567 abc1234567 abc123456789 abcd123456 abcd1234567 abcdefghij abcdefghijk
1q2w3e4r5t 1q2w3e4r5t6y q1w2e3r4t5 q1w2e3r4t5y6 1qaz2wsx3edc 1qazxsw23edc 1qaz2wsx3edc4rfv zaq12wsxcde3 qazwsxedc1
qazwsxedcrfv qwertyuiop qwertyuiop1 qwertyuiop123 qwerty1234 qwerty12345 qwerty123456 qwertyqwerty qwertyuiop[]
qwertzuiop azertyuiop asdfghjkl1 asdfghjkl; asdfghjkl123 asdfasdfasdf zxcvbnm123 zxcvbnmasd 1234qwerasdf qwer1234asdf
qwerasdfzxcv 1234qwer1234 password12 password123 password1234 password12345 password123456 password1! password123!
passwordpassword passw0rd12 passw0rd123 p@ssw0rd12 p@ssw0rd123 p@ssword123 p@ssw0rd1! pa$$w0rd123 mypassword
mypassword1 mypassword123 newpassword newpassword1 thispassword administrator administrator1 adminadmin adminadmin1
admin12345 admin123456 admin1234567 adminpassword rootpassword letmein123 letmein1234 letmeinnow letmeinplease
welcome123 welcome1234 welcome12345 welcome123! changeme12 changeme123 changemenow changeme123! iloveyou12 iloveyou123
iloveyou1234 iloveyou!! superman123 batman1234 football12 football123 baseball12 baseball123 basketball princess12
princess123 sunshine12 sunshine123 liverpool1 manchester chelsea123 arsenal123 barcelona1 realmadrid monkey1234
dragon1234 shadow1234 master1234 michelle12 jennifer12 charlie123 trustno123 starwars12 starwars123 blink182123
computer12 computer123 internet12 internet123 whatever12 whatever123 secret1234 secret12345 google1234 facebook12
facebook123 testtest12 testtest123 test123456 test12345678 user123456 user12345678 root123456 default123 guest12345
correcthorsebatterystaple`.split(/\s+/),
)

const folded = (text: string): string => text.normalize('NFKC').toLowerCase()

/** Whose password it shall be. */
export interface PasswordOwner {
  readonly username: string
  readonly email?: string | null | undefined
}

/** True where a unit of one to three letters is all that there is: `aaaaaaaaaa`, `abcabcabcabc`. */
const repeats = (text: string): boolean => /^(.{1,3})\1+.{0,2}$/s.test(text)

/** Why this cannot be that person's password; null: it can. Source: NIST SP 800-63B 3.1.1.2. */
export function passwordProblem(password: string, owner: PasswordOwner): string | null {
  if (password.length < PASSWORD_MIN) return `at least ${PASSWORD_MIN} characters`
  if (password.length > PASSWORD_MAX) return `at most ${PASSWORD_MAX} characters`
  const text = folded(password)
  const username = folded(owner.username)
  const email = folded(owner.email ?? '')
  if (text === username || text === email || (email !== '' && text === email.split('@')[0]))
    return 'must not be your user name or e-mail address'
  const rest = username === '' ? text : text.replaceAll(username, '')
  if (rest !== text && /^[\d!.@_-]*$/.test(rest)) return 'must be more than your user name and digits'
  if (common.has(text)) return 'is one of the most common ones, which guessers try first'
  return repeats(text) ? 'must be more than a few characters repeated' : null
}
