/// An error a person caused or can act on: one clear sentence and the exit code it leads to.
///
/// Every module's own error type conforms; programs print `description` and exit with `kind.exitCode`. A description says
/// what is wrong, where, and what to do; it never holds a secret or a value of the data.
package protocol Failure: Error, CustomStringConvertible {
  var kind: FailureKind { get }
}
