package import Federation
package import SecureSums

/// What a session needs of the site that it speaks for: the site's model, and its part of every sum. Asked again for the same, it gives the
/// same numbers.
package protocol SiteContribution: AnyObject {
  var plan: FederationPlan { get }
  /// The site's place in the charter.
  var site: Int { get }
  var introduction: SiteIntroduction { get }
  /// Of the model's trained parameters together.
  var modelEntries: Int { get }

  /// Called with what the site's history holds, before anything is sent, and with each record that comes, before it is kept.
  ///
  /// - Throws: what forbids to go on with them.
  func check(_ records: [SumRecord]) throws

  /// Called once, before anybody is told of the site, to fail now and not when it would show.
  ///
  /// - Throws: what forbids to join.
  func begin() throws

  /// Writes what an outside replay needs.
  ///
  /// - Parameter progress: batches drawn and in all; called often, and what it throws ends the work.
  func writePlan(progress: (Int, Int) throws -> Void) throws

  /// The starting model as this site draws it, masked.
  func start() throws -> [Float]

  /// Whether a starting model is the one that this site would have drawn, up to the rounding of its masks.
  func isStart(_ vector: [Float]) throws -> Bool

  func format(of purpose: SumPurpose) throws -> VectorFormat

  /// Numbers that the sites are told of a sum.
  func pooledCount(of purpose: SumPurpose) throws -> Int

  /// The site's part of a sum.
  ///
  /// - Parameters:
  ///   - vector: the model that the sum is about, masked (`FederationPlan.modelLength`); empty for none.
  ///   - progress: steps done and in all; called often, and what it throws ends the work.
  func entries(
    for purpose: SumPurpose, model vector: [Float], progress: (Int, Int) throws -> Void
  ) throws -> [UInt64]

  /// What there is to tell of the part made last.
  func remarks() throws -> [SiteEvent]

  /// Keeps the global model that the federation ended with, unmasked.
  func write(_ vector: [Float], to directory: SiteDirectory) throws
}
