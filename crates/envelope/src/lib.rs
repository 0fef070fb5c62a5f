//! Values of one mail transaction: address, path, recipient, status, receipt.
