/// How likely records are to have been trained on, by every model that was taken for the published one.
package struct MembershipScores: Sendable {
  /// Of those that were: which they are is known, because the attack trained the models itself.
  let members: [Double]
  let others: [Double]
  let candidates: Int
  let models: Int
}
