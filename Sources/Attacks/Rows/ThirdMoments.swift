import Tensors

/// The signs by which columns' third moments agree.
enum ThirdMoments {
  struct Sign: Sendable {
    /// 1 or −1.
    let sign: Double
    /// Whether both third moments are beyond what symmetric data show by chance.
    let isCertain: Bool
  }

  /// - Parameters:
  ///   - left, right: `[n, q]` and `[s, q]`, columns of mean 0.
  static func signs(_ left: Tensor<Double>, _ right: Tensor<Double>) -> [Sign] {
    zip(skewnesses(left), skewnesses(right)).map { a, b in
      // Of n normal numbers the skewness has the deviation √(6/n) (Fisher, Proc. R. Soc. A 130, 1930); three of them are certain enough.
      let isCertain =
        abs(a) > 3 * (6 / Double(left.rows)).squareRoot() && abs(b) > 3 * (6 / Double(right.rows)).squareRoot()
      return Sign(sign: a * b < 0 ? -1 : 1, isCertain: isCertain)
    }
  }

  private static func skewnesses(_ columns: Tensor<Double>) -> [Double] {
    let (rows, width) = (columns.rows, columns.columns)
    var second = [Double](repeating: 0, count: width)
    var third = second
    columns.withUnsafeBufferPointer { elements in
      for row in 0..<rows {
        for column in 0..<width {
          let value = elements[row * width + column]
          second[column] += value * value
          third[column] += value * value * value
        }
      }
    }
    let n = Double(max(1, rows))
    return zip(second, third).map { $0 > 0 ? ($1 / n) / (($0 / n) * ($0 / n).squareRoot()) : 0 }
  }
}
