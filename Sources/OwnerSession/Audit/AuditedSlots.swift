/// Which samples of a job an audit looks at: some that are trained on, and others of the same kind that the public might have.
struct AuditedSlots {
  /// In the order the job trains on them; whole batches where there are enough.
  let view: ArraySlice<Int32>
  /// None of them in `view`.
  let publicSample: [Int32]

  /// - Parameters:
  ///   - rowsOfSample: how many rows the provider gets of a sample at most: tokens of the longest one, or 1.
  ///   - limit: rows of the view at most.
  init(_ plan: TrainingPlan, rowsOfSample: Int, limit: Int) {
    let order = plan.order(epoch: 0)
    // A quarter of all samples at least stays out of sight.
    let most = min(order.count, max(1, limit / max(1, rowsOfSample)), max(1, plan.totalRows * 3 / 4))
    let whole = most >= plan.batch ? most / plan.batch * plan.batch : most
    view = order[..<whole]
    let unseen = order[whole...] + plan.validationSlots.map { Int32($0) }
    publicSample = Array(unseen.prefix(max(1, limit / max(1, rowsOfSample))))
  }
}
