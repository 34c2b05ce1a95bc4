//! The two implementations of BIP 340 accept exactly the same signatures.

use bitcoin::hex::FromHex as _;
use proptest::prelude::*;
use trestle_rollup::{Digest, SignatureCheck, schnorr};

use crate::support::{key, x_only};

/// secp256k1's field size.
const P: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
/// secp256k1's group order.
const N: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    Vec::from_hex(hex).unwrap().try_into().unwrap()
}

/// What both say; the test fails if they differ.
fn verdict(check: &SignatureCheck) -> bool {
    let (native, portable) = (schnorr::verify(check), schnorr::verify_portable(check));
    assert_eq!(native, portable, "{check:?}");
    native
}

fn good(index: usize, message: Digest) -> SignatureCheck {
    let key = key("schnorr", index);
    SignatureCheck {
        key: x_only(&key),
        message,
        signature: schnorr::sign(&message, &key),
    }
}

/// BIP 340's test vectors with 32-byte messages: public key, message, signature, valid.
const VECTORS: [(&str, &str, &str, bool); 15] = [
    (
        "F9308A019258C31049344F85F89D5229B531C845836F99B08601F113BCE036F9",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "E907831F80848D1069A5371B402410364BDF1C5F8307B0084C55F1CE2DCA821525F66A4A85EA8B71E482A74F382D2CE5EBEEE8FDB2172F477DF4900D310536C0",
        true,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "6896BD60EEAE296DB48A229FF71DFE071BDE413E6D43F917DC8DCF8C78DE33418906D11AC976ABCCB20B091292BFF4EA897EFCB639EA871CFA95F6DE339E4B0A",
        true,
    ),
    (
        "DD308AFEC5777E13121FA72B9CC1B7CC0139715309B086C960E18FD969774EB8",
        "7E2D58D8B3BCDF1ABADEC7829054F90DDA9805AAB56C77333024B9D0A508B75C",
        "5831AAEED7B44BB74E5EAB94BA9D4294C49BCF2A60728D8B4C200F50DD313C1BAB745879A5AD954A72C45A91C3A51D3C7ADEA98D82F8481E0E1E03674A6F3FB7",
        true,
    ),
    (
        "25D1DFF95105F5253C4022F628A996AD3A0D95FBF21D468A1B33F8C160D8F517",
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
        "7EB0509757E246F19449885651611CB965ECC1A187DD51B64FDA1EDC9637D5EC97582B9CB13DB3933705B32BA982AF5AF25FD78881EBB32771FC5922EFC66EA3",
        true,
    ),
    (
        "D69C3509BB99E412E68B0FE8544E72837DFA30746D8BE2AA65975F29D22DC7B9",
        "4DF3C3F68FCC83B27E9D42C90431A72499F17875C81A599B566C9889B9696703",
        "00000000000000000000003B78CE563F89A0ED9414F5AA28AD0D96D6795F9C6376AFB1548AF603B3EB45C9F8207DEE1060CB71C04E80F593060B07D28308D7F4",
        true,
    ),
    (
        "EEFDEA4CDB677750A420FEE807EACF21EB9898AE79B9768766E4FAA04A2D4A34",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E17776969E89B4C5564D00349106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B",
        false,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "FFF97BD5755EEEA420453A14355235D382F6472F8568A18B2F057A14602975563CC27944640AC607CD107AE10923D9EF7A73C643E166BE5EBEAFA34B1AC553E2",
        false,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "1FA62E331EDBC21C394792D2AB1100A7B432B013DF3F6FF4F99FCB33E0E1515F28890B3EDB6E7189B630448B515CE4F8622A954CFE545735AAEA5134FCCDB2BD",
        false,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E177769961764B3AA9B2FFCB6EF947B6887A226E8D7C93E00C5ED0C1834FF0D0C2E6DA6",
        false,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "0000000000000000000000000000000000000000000000000000000000000000123DDA8328AF9C23A94C1FEECFD123BA4FB73476F0D594DCB65C6425BD186051",
        false,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "00000000000000000000000000000000000000000000000000000000000000017615FBAF5AE28864013C099742DEADB4DBA87F11AC6754F93780D5A1837CF197",
        false,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "4A298DACAE57395A15D0795DDBFD1DCB564DA82B0F269BC70A74F8220429BA1D69E89B4C5564D00349106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B",
        false,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F69E89B4C5564D00349106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B",
        false,
    ),
    (
        "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E177769FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141",
        false,
    ),
    (
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC30",
        "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
        "6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E17776969E89B4C5564D00349106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B",
        false,
    ),
];

#[test]
fn both_agree_with_the_vectors_of_bip_340() {
    for (key, message, signature, valid) in VECTORS {
        let check = SignatureCheck {
            key: bytes(key),
            message: bytes(message),
            signature: bytes(signature),
        };
        assert_eq!(verdict(&check), valid, "{signature}");
    }
}

#[test]
fn both_refuse_what_is_out_of_range() {
    let edges = [
        "00".repeat(32),
        format!("{:064}", 1),
        P.into(),
        N.into(),
        "ff".repeat(32),
    ];
    let (p_less_1, n_less_1) = (P.replace("fc2f", "fc2e"), N.replace("4141", "4140"));
    let edges: Vec<[u8; 32]> = edges
        .iter()
        .chain([&p_less_1, &n_less_1])
        .map(|hex| bytes(hex))
        .collect();
    for edge in edges {
        let check = good(0, [1; 32]);
        assert!(verdict(&check));
        assert!(!verdict(&SignatureCheck { key: edge, ..check }));
        let mut r = check;
        r.signature[..32].copy_from_slice(&edge);
        assert!(!verdict(&r));
        let mut s = check;
        s.signature[32..].copy_from_slice(&edge);
        assert!(!verdict(&s));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_accept_good_signatures_and_agree_on_changed_ones(
        index in 0usize..8,
        message: [u8; 32],
        changes in prop::collection::vec((0usize..128, any::<u8>()), 1..4),
    ) {
        let check = good(index, message);
        prop_assert!(verdict(&check));
        let mut changed = check;
        for (at, byte) in changes {
            match at {
                0..32 => changed.key[at] ^= byte,
                32..64 => changed.message[at - 32] ^= byte,
                _ => changed.signature[at - 64] ^= byte,
            }
        }
        prop_assert_eq!(verdict(&changed), changed == check);
    }

    #[test]
    fn both_agree_on_random_bytes(key: [u8; 32], message: [u8; 32], r: [u8; 32], s: [u8; 32]) {
        let signature: [u8; 64] = [r, s].concat().try_into().unwrap();
        let check = SignatureCheck { key, message, signature };
        prop_assert!(!verdict(&check));
    }
}
