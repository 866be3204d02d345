/// How often a lease is renewed, and when it counts as left behind.
package struct LeaseTimes: Sendable {
  /// Between renewals.
  package var interval: Duration = .seconds(5)
  /// A lease renewed longer ago, by the file system's clock, is of a trainer that is gone, if it is not renewed now.
  package var limit: Duration = .seconds(30)

  package init() {}

  /// Renewals are seen within so long, whatever any clock says.
  var observation: Duration { interval * 2 + interval / 2 }
  /// Until two trainers that take the same lease at once see which of them has it.
  var settling: Duration { interval / 10 }
}
