/// A matrix whose rows are as many as a pass has samples or tokens.
struct MatrixShape: Hashable {
  let columns: Int
  let domain: RowDomain
}
